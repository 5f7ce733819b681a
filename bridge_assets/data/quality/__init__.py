"""Data quality of a survey year: flags, missing items, rejected rows, and jumps compared with earlier years."""
