"""Rows of mart_bridge_outlook, made up."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from bridge_assets.scoring.shap_values import reasons_dtype

BRIDGE = {
    "structure_key": "25-00123",
    "survey_year": 2024,
    "state_code": "25",
    "county_code": "017",
    "facility_carried": "MAIN ST",
    "features_intersected": "MILL RIVER",
    "location": "IN TOWN",
    "latitude": 42.123456789,
    "longitude": -71.5,
    "owner": "01",
    "year_built": 1961,
    "adt": 38_413,
    "material": "3",
    "design": "02",
    "posting": "P",
    "condition": 5,
    "condition_class": "Fair",
    "inspection_date": dt.date(2023, 5, 1),
    "fall_probability": 0.123456,
    "state_fall_probability": 0.0987654,
    "rank_in_state": 2,
    "look_first_rank": 2,
    "listed_as": "Likely to become Poor",
    "rank_in_list": 1,
    "target": "fall",
    "reasons": None,
    "years_until_poor": 12.3456,
    "years_until_poor_low": 3.04,
    "years_until_poor_high": 21.5,
    "years_until_poor_horizon": 60,
    "model_version": "3fa9c1d20b7e",
}


def outlook(*changes: dict[str, Any]) -> pl.DataFrame:
    floats = dict.fromkeys(
        ("fall_probability", "years_until_poor", "years_until_poor_low", "years_until_poor_high"), pl.Float32
    )
    return pl.DataFrame(
        [{**BRIDGE, "structure_key": f"25-0012{number}", **each} for number, each in enumerate(changes)],
        schema_overrides={**floats, "reasons": reasons_dtype(), "years_until_poor_horizon": pl.Int16},
        infer_schema_length=None,
    )
