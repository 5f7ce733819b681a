"""A drift page of made-up distances."""

from __future__ import annotations

import numpy as np
from support.scoring.drift_reports import drift_row, drift_table, recoded_row, schema_row, steady_rows

from bridge_assets.drift import limits
from bridge_assets.drift.counts import ValueCounts
from bridge_assets.reporting.drift.distributions import CodeShare, distribution_of
from bridge_assets.reporting.drift.page import DriftPage

EVIL = "<script>alert('x')</script>"


def counts(*values: float) -> ValueCounts:
    return ValueCounts.of(np.array(values))


def drift_page() -> DriftPage:
    """A survey year in which features drifted and two states recoded an item, with hostile text."""
    drifted = [
        drift_row("skew", 0.31),
        drift_row("skew", 20.0, measure=limits.WASSERSTEIN, threshold=2.0),
        drift_row("skew", 0.5, state="36"),
        drift_row("scour", 0.3, cause="recoded: 25, 36"),
        drift_row("membrane", 0.4, state="01"),
        drift_row(EVIL, 0.9),
        recoded_row("SCOUR_CRITICAL_113", "36"),
        recoded_row("SCOUR_CRITICAL_113", "25", cause=f"recoded: {EVIL} to U (3 bridges)"),
        drift_row("OWNER_022", 0.2, kind="code", measure=limits.TOTAL_VARIATION),
        {**schema_row(1.0), "feature": EVIL, "measure": "column_new", "drifted": True},
    ]
    return DriftPage(
        table=drift_table(*steady_rows(more=drifted)),
        reference="2006 to 2019",
        distributions={("skew", "all"): distribution_of("skew", counts(*range(30)), counts(*range(15, 45)))},
        prediction=distribution_of("fall_probability", counts(0.1, 0.2), counts(0.1, 0.3)),
        codes={
            ("SCOUR_CRITICAL_113", "25"): [CodeShare("U", 0.05, 0.9), CodeShare(EVIL, 0.95, 0.1)],
            ("OWNER_022", "all"): [CodeShare("1", 0.5, 0.7), *(CodeShare(f"X{i}", 0.02, 0.01) for i in range(15))],
        },
        provenance={"Source": EVIL},
        origin_warning="This is the generated sample.",
    )
