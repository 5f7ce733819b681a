"""Writes the CSV file of the features, which `data.listed_features` reads.

`python -m bridge_assets.data.features.listing` writes it from `definitions`; a test fails when it is out of date.
"""

from __future__ import annotations

import csv
import io

from bridge_assets.data.listed_features import LISTING_FILE, ListedFeature


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
