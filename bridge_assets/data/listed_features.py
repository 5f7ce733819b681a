"""Name, unit, source and reason of every feature, from a CSV file.

For readers that must not wait for polars to be imported: the code location shows the features as soon as it loads.
`features.listing` writes the file from the definitions.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

LISTING_FILE = Path(__file__).with_name("features") / "features.csv"


class ListedFeature(NamedTuple):
    """A feature without its expression; see `features.base.Feature`."""

    name: str
    unit: str
    source: str
    reason: str


def listed_features() -> tuple[ListedFeature, ...]:
    """Every feature, in the order of the columns of bridge_features."""
    with LISTING_FILE.open(encoding="utf-8", newline="") as file:
        return tuple(ListedFeature(**row) for row in csv.DictReader(file))
