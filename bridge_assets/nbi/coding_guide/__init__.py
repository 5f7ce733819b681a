"""The Coding Guide: items, codes, layouts of the published files, and the extent of each state."""
