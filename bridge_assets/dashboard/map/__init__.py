"""The map of bridges: drawn in the browser, counted on the server by zoom and view, without a tile server.

Belongs here: the view, what the server sends for it, and the Streamlit component. Does not belong here: the page around
the map (`dashboard.views`). The drawing itself is `static/map.js`.
"""
