"""Typed records: the schema of raw_bridges, one record per structure, and validation of user-supplied tables."""
