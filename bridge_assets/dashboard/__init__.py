"""The dashboard: pages for bridge engineers over the platform's tables, in Streamlit.

Belongs here: reading the tables, read-only, and laying out pages. Does not belong here: computing what a page shows
(`scoring`, `drift`, `data.quality`) and the words shared with the reports (`reporting`).
"""
