"""The delimited files that FHWA publishes, read without losing a row or changing a cell."""
