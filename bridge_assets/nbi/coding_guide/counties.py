"""The names of counties (item 3), from `counties.csv`.

The list is that of the US Census Bureau's cartographic boundary files, edition 2017 (public domain, taken from us-atlas
3.0.1), as on the map of the dashboard. A code that is not in the list, such as that of a
planning region of Connecticut, has no name.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType


@cache
def county_names() -> Mapping[str, str]:
    """State and county code, five digits such as `25017`, -> name of the county, such as `Middlesex`."""
    text = files("bridge_assets.nbi.coding_guide").joinpath("counties.csv").read_text(encoding="utf-8")
    return MappingProxyType({row["code"]: row["name"] for row in csv.DictReader(text.splitlines())})
