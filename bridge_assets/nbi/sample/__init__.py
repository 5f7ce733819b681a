"""A sample inventory: generated survey files in the real layout of each year, to run the platform without a network.

A deterministic, seeded generator that replaces real files; none of its structures exists, and every structure number
begins with `SMP`. Its deterioration process is documented (`deterioration`), and its true fall probabilities are
written to a separate file (the oracle), so that a model can be compared with them. Real files contain dirty data, and
so does the sample (`dirt`).

Belongs here: generating the sample. Does not belong here: reading files (`bridge_assets.nbi.delimited`), and the
location of the files.
"""

from __future__ import annotations

from bridge_assets.nbi.sample.spec import SampleSpec, SampleSummary
from bridge_assets.nbi.sample.writing import is_current, write_sample

__all__ = ["SampleSpec", "SampleSummary", "is_current", "write_sample"]
