"""The pages, one module each: widgets, a query, a template.

Belongs here: what a reader can choose, and which query and template answer. Does not belong here: SQL (`queries`).
"""
