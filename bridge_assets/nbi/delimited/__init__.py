"""Reads the delimited files that FHWA publishes without losing a row or changing a cell."""
