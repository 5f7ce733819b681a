"""What is measured, as ratios against a named baseline in one interleaved run.

`python -m benchmarks` runs all of them; `python -m benchmarks loading` one. Absolute seconds depend on the machine and
on what else it does; the ratio of two things measured in turn does so far less.
"""
