"""What the UI shows of a materialization: previews, plots, links, column schemas, source files."""
