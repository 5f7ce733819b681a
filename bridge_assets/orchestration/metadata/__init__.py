"""Metadata for the UI: previews, plots, links, column schemas, source files."""
