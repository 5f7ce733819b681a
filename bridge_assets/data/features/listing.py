"""Name, unit, source and reason of every feature as a CSV file.

For readers that must not wait for polars to be imported: the code location shows the features as soon as it loads.

`python -m bridge_assets.data.features.listing` writes the file from `definitions`; a test fails when it is out of date.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

LISTING_FILE = Path(__file__).with_name("features.csv")


class ListedFeature(NamedTuple):
    """A feature without its expression; see `base.Feature`."""

    name: str
    unit: str
    source: str
    reason: str


def listed_features() -> tuple[ListedFeature, ...]:
    """Every feature, in the order of the columns of bridge_features."""
    with LISTING_FILE.open(encoding="utf-8", newline="") as file:
        return tuple(ListedFeature(**row) for row in csv.DictReader(file))


def render_listing() -> str:
    """The contents of the file, from the definitions."""
    from bridge_assets.data.features.definitions import FEATURES

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ListedFeature._fields)
    writer.writerows([getattr(feature, field) for field in ListedFeature._fields] for feature in FEATURES)
    return text.getvalue()


if __name__ == "__main__":
    LISTING_FILE.write_text(render_listing(), encoding="utf-8")
