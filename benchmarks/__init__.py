"""Benchmarks: ratios to a named baseline, measured in one interleaved run.

`python -m benchmarks` runs all of them; `python -m benchmarks loading` runs one. Absolute times depend on the machine
and its load; the ratio of two commands that are measured alternately depends on them far less.
"""
