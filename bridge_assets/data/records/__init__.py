"""Typed records: the schema of raw_bridges, one record a structure, and the validation of tables that people bring."""
