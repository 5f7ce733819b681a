"""Headline figures of the data quality of a survey year, to show next to the full table.

Belongs here: the choice of figures from a summary. Does not belong here: the counting (`summary`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from bridge_assets.data.quality.measures import ALL_STATES, ANY
from bridge_assets.nbi.flag_rules import FLAGS


def headline(summary: pl.DataFrame) -> dict[str, int | float]:
    """Headline figures of a survey year: rows_read, loaded, rejected, flagged, share_flagged, unparsed, duplicates."""
    national = summary.filter(pl.col("state") == ALL_STATES).select("measure", "name", "records", "share")
    found = {(measure, name): (records, share) for measure, name, records, share in national.iter_rows()}
    flagged, share = found["flag", ANY]
    return {
        "rows_read": found["rows", "read"][0],
        "loaded": found["rows", "loaded"][0],
        "rejected": found["rows", "rejected"][0],
        "flagged": flagged,
        "share_flagged": share or 0.0,
        "unparsed": found["unparsed", ANY][0],
        "duplicates": sum(records for (measure, _), (records, _) in found.items() if measure == "duplicate"),
    }


def top_flags(summary: pl.DataFrame, limit: int = 8) -> Iterator[dict[str, Any]]:
    """The most frequent flags of a survey year: name, records, share, meaning."""
    flags = summary.filter(
        (pl.col("measure") == "flag") & (pl.col("state") == ALL_STATES) & (pl.col("name") != ANY), pl.col("records") > 0
    )
    for row in flags.sort("records", "name", descending=[True, False]).head(limit).iter_rows(named=True):
        yield {**row, "meaning": FLAGS[row["name"].partition(":")[0]].meaning}
