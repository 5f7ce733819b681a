"""The bridges with their scores for readers outside: a sheet with its data dictionary, and a map layer."""
