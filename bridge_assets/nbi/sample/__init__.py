"""A sample inventory: generated survey files in the true layout of each year, to run the platform without a network.

A deterministic, seeded generator. It stands in for real files; none of its structures exists, every structure number
begins with `SMP`. Its deterioration process is documented (`deterioration`) and its true fall probabilities are written
beside the files (the oracle), so that a model can be held against them. Real files have dirt, and so has the sample
(`dirt`).

Belongs here: everything the sample is made of. Does not belong here: reading files
(`bridge_assets.nbi.delimited`), and where they lie.
"""

from __future__ import annotations

from bridge_assets.nbi.sample.spec import SampleSpec, SampleSummary
from bridge_assets.nbi.sample.writing import is_current, write_sample

__all__ = ["SampleSpec", "SampleSummary", "is_current", "write_sample"]
