"""Shared parts of the pages: templates, charts, sparklines."""
