"""What each page shows, as plain functions over the tables, without Streamlit.

Belongs here: reading the tables of the lake, the models' evaluations and the logs, read-only, into small tables and
dictionaries. Does not belong here: layout and wording.
"""
