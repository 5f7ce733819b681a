"""Features of hand-made records: units, missing values, and single records compared with a batch."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bridge_assets.data.features.build import (
    add_env_features,
    add_traffic_features,
    build_bridge_features,
    condition_history,
    features_markdown,
)
from bridge_assets.data.features.climate import normals_text, state_climate
from bridge_assets.data.features.coast import MAX_DISTANCE_KM, coast_distance_km
from bridge_assets.data.features.definitions import FEATURE_NAMES, FEATURES
from bridge_assets.data.features.peers import peer_outcomes
from bridge_assets.models.training.leakage import leakage_problems
from bridge_assets.nbi.delimited.records import RECORD_SCHEMA

YEAR = 2018

#: Default values of a record.
RECORD: dict[str, Any] = {
    "survey_year": YEAR, "on_structure": True, "inspected_in_future": False, "is_culvert": False, "line_number": 1,
    "STATE_CODE_001": "25", "ADT_029": 9999, "DETOUR_KILOS_019": 10, "STRUCTURE_KIND_043A": "3", "condition": 6,
    "inspection_date": dt.date(2018, 6, 1), "latitude": 42.36, "longitude": -71.06, "YEAR_BUILT_027": 1968,
}  # fmt: skip

#: Default values of an inspection: the latest one of the structure of RECORD.
INSPECTION: dict[str, Any] = {
    "survey_year": YEAR, "is_culvert": False, "material_043a": "3", "condition": 6, "next_survey_year": None,
    "inspection_date": dt.date(2018, 6, 1), "next_condition": None, "previous_inspection_date": dt.date(2016, 6, 1),
    "falls_so_far": 2, "rises_so_far": 1, "entered_at": dt.date(2014, 6, 1), "entry_seen": True,
    "deterioration_spell": 2, "spell_since": dt.date(2008, 6, 1), "falls_in_spell": 1,
}  # fmt: skip

_TYPES = {"survey_year": pl.Int16, "next_survey_year": pl.Int16, "condition": pl.Int8, "next_condition": pl.Int8}


def records(**by_key: dict[str, Any]) -> pl.LazyFrame:
    rows = [{"structure_key": key, **RECORD, **changed} for key, changed in by_key.items()]
    names = {name for row in rows for name in row}
    table = pl.DataFrame(rows, schema_overrides={name: RECORD_SCHEMA[name] for name in names if name in RECORD_SCHEMA})
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in RECORD_SCHEMA.items() if name not in names]
    return table.with_columns(missing).lazy()


def inspections(*rows: tuple[str, dict[str, Any]]) -> pl.LazyFrame:
    data = [{"structure_key": key, **INSPECTION, **changed} for key, changed in rows]
    dates = {name: pl.Date for name in INSPECTION if name.endswith(("date", "_at", "since"))}
    return pl.DataFrame(data, schema_overrides={**_TYPES, **dates}, infer_schema_length=None).lazy()


def features(records: pl.LazyFrame, *past: tuple[str, dict[str, Any]], year: int = YEAR) -> pl.DataFrame:
    transitions = inspections(*(past or [("99-NOBODY", {})]))
    return build_bridge_features(records, condition_history(transitions), peer_outcomes(transitions), year)


def of_one(name: str, record: dict[str, Any] | None = None, inspection: dict[str, Any] | None = None) -> float | None:
    table = features(records(**{"25-A": record or {}}), ("25-A", inspection or {}))
    return table[name].item()


@pytest.mark.parametrize(
    ("name", "record", "expected"),
    [
        ("log_detour_traffic", {}, np.log10(9999 * 10 + 1)),
        ("log_detour_traffic", {"ADT_029": 0}, 0.0),
        ("log_detour_traffic", {"DETOUR_KILOS_019": None}, None),
        ("log_detour_traffic", {"ADT_029": -1}, None),
        ("log_detour_traffic", {"ADT_029": 400_000, "DETOUR_KILOS_019": 199}, np.log10(79.6e6 + 1)),  # no overflow
        ("mean_temperature", {}, 9.306),  # degrees Celsius: 48.75 Fahrenheit
        ("january_temperature", {}, (26.0 - 32) / 1.8),
        ("precipitation", {}, 48.64 * 25.4),
        ("mean_temperature", {"STATE_CODE_001": "11"}, 12.99),  # the District of Columbia as Maryland
        ("mean_temperature", {"STATE_CODE_001": "15"}, None),  # nClimDiv leaves Hawaii out
        ("snowfall", {"STATE_CODE_001": "15"}, None),
        ("snowfall", {"STATE_CODE_001": "12"}, 0.0),
        ("salt_exposure", {"STATE_CODE_001": "12"}, 0.0),
        ("salt_exposure", {"ADT_029": None}, None),
        ("salt_exposure", {}, np.log10(state_climate()["snowfall"]["25"] * 9999 + 1)),
        ("freeze_thaw", {"STATE_CODE_001": "12"}, 0.0),
        ("log_coast_distance", {"latitude": 39.74, "longitude": -104.98}, np.log10(MAX_DISTANCE_KM + 1)),
        ("log_coast_distance", {"latitude": None}, None),
    ],
)  # fmt: skip
def test_traffic_and_environment(name: str, record: dict[str, Any], expected: float | None) -> None:
    assert of_one(name, record) == (None if expected is None else pytest.approx(expected, rel=1e-3, abs=1e-6))


@pytest.mark.parametrize(
    ("name", "inspection", "expected"),
    [
        ("years_in_condition", {}, 4.0),
        ("months_since_previous", {}, 24.0),
        ("condition_change_seen", {"entry_seen": False}, 0.0),
        ("condition_change_seen", {}, 1.0),
        ("repairs_so_far", {}, 1.0),
        ("years_since_repair", {}, 10.0),
        ("years_since_repair", {"deterioration_spell": 1}, None),  # never: missing, not a large number
        ("falls_per_year", {}, 0.1),
        ("falls_per_year", {"spell_since": dt.date(2018, 1, 1)}, None),  # less than a year
    ],
)
def test_history(name: str, inspection: dict[str, Any], expected: float | None) -> None:
    assert of_one(name, inspection=inspection) == (None if expected is None else pytest.approx(expected, rel=2e-3))


def test_without_an_inspection_on_file_the_history_is_missing() -> None:
    row = features(records(**{"25-A": {}})).row(0, named=True)
    past = ("years_in_condition", "falls_so_far", "condition_change_seen", "repairs_so_far", "years_since_repair")
    assert [row[name] for name in (*past, "falls_per_year", "peers_fall_rate")] == [None] * 7
    assert row["condition"] == 6


def test_the_latest_inspection_up_to_the_year_is_used() -> None:
    past = [("25-A", {"survey_year": 2016, "falls_so_far": 1}), ("25-A", {"falls_so_far": 2})]
    assert features(records(**{"25-A": {}}), *past)["falls_so_far"].item() == 2
    earlier = {"survey_year": 2017}
    assert features(records(**{"25-A": earlier}), *past, year=2017)["falls_so_far"].item() == 1


BATCH = {
    "25-A": {},
    "25-B": {"STATE_CODE_001": "23", "latitude": 44.0, "longitude": -70.0, "ADT_029": 500},
    "25-C": {"condition": 4, "STRUCTURE_KIND_043A": None, "latitude": None, "longitude": None, "ADT_029": None},
    "25-D": {"is_culvert": True, "STRUCTURE_KIND_043A": "1", "inspected_in_future": True},
    "12-E": {"STATE_CODE_001": "12", "latitude": 25.77, "longitude": -80.19, "STRUCTURE_KIND_043A": "05"},
}
#: Outcomes that became known in 2016 to 2018: more falls among the worse, and none for a structure in BATCH.
KNOWN = [
    (f"{state}-{number}", {
        "survey_year": year - 2, "next_survey_year": year, "condition": condition,
        "next_condition": condition - (number % (condition - 1) == 0), "material_043a": str(1 + number % 5),
    })
    for state in ("25", "23", "12") for year in (2016, 2017, 2018) for condition in (4, 6, 7) for number in range(40)
]  # fmt: skip


def test_one_record_gives_the_same_features_as_in_the_batch() -> None:
    past = [*KNOWN, *((key, {}) for key in BATCH)]
    batch = features(records(**BATCH), *past)
    assert batch["peers_fall_rate"].null_count() == 0
    for key, changed in BATCH.items():
        alone = features(records(**{key: changed}), *past)
        assert alone.equals(batch.filter(pl.col("structure_key") == key)), key


def test_later_findings_change_no_feature() -> None:
    """Inspections that first appear in a later file, and the outcomes they reveal, have no influence."""
    ours = [(key, {}) for key in BATCH]
    known = features(records(**BATCH), *KNOWN, *ours)
    next_ones = {"survey_year": 2020, "inspection_date": dt.date(2020, 6, 1), "falls_so_far": 9, "entry_seen": False}
    found = {"next_survey_year": 2020, "next_condition": 1}
    later = [*((key, found) for key in BATCH), *((key, next_ones) for key in BATCH)]
    later += [(f"25-N{number}", {"survey_year": 2018, **found}) for number in range(50)]
    assert features(records(**BATCH), *KNOWN, *later).equals(known)
    then = {key: {**changed, "survey_year": 2020} for key, changed in BATCH.items()}
    seen = features(records(**then), *KNOWN, *later, year=2020)
    assert set(seen["falls_so_far"]) == {9}
    assert (seen["peers_fall_rate"] != known["peers_fall_rate"]).all()


def test_the_order_of_the_records_does_not_matter() -> None:
    past = [*KNOWN, *((key, {}) for key in BATCH)]
    backwards = records(**dict(reversed(BATCH.items())))
    assert features(backwards, *past).equals(features(records(**BATCH), *past))


@pytest.mark.parametrize("add", [add_traffic_features, add_env_features])
def test_pandas_gives_the_same_features_as_polars(add: Any) -> None:
    table = records(**BATCH).sort("structure_key").collect()
    expected = features(table.lazy(), ("25-A", {}))
    with_features = add(table.to_pandas())
    added = [name for name in with_features.columns if name in FEATURE_NAMES]
    assert {"log_detour_traffic"} <= set(added) or {"salt_exposure", "log_coast_distance"} <= set(added)
    for name in added:
        if name not in table.columns:
            pd.testing.assert_series_equal(with_features[name], expected[name].to_pandas(), check_names=False)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((42.36, -71.06), 3.5),  # Boston
        ((38.58, -121.49), 57),  # Sacramento
        ((52.9, 172.9), 9),  # Attu, beyond the date line
        ((41.88, -87.63), MAX_DISTANCE_KM),  # Chicago: the Great Lakes are not the sea
        ((np.nan, -90.0), np.nan),
        ((90.0, 181.0), np.nan),
    ],
)
def test_distance_to_the_sea(place: tuple[float, float], expected: float) -> None:
    found = coast_distance_km(*np.array(place)[:, None])
    assert found == pytest.approx([expected], abs=1.5, nan_ok=True)


def test_distances_agree_with_a_search_through_all_points() -> None:
    """Haversine distance to every point of the coast, for places in the contiguous states and southern Alaska."""
    from bridge_assets.data.features.coast import coastline_text

    table = pl.read_csv(coastline_text().encode(), comment_prefix="#")
    coast = np.radians(table.select("latitude", "longitude").to_numpy())
    draw = np.random.default_rng(0)
    places = np.column_stack([draw.uniform(25, 61, 400), draw.uniform(-160, -67, 400)])
    found = coast_distance_km(*places.T)
    north, east = np.radians(places).T[:, :, None]
    half = np.sin((coast[:, 0] - north) / 2) ** 2
    half += np.cos(coast[:, 0]) * np.cos(north) * np.sin((coast[:, 1] - east) / 2) ** 2
    to_points = np.minimum(MAX_DISTANCE_KM, 2 * 6371 * np.arcsin(np.sqrt(half.min(axis=1))))
    near = found < MAX_DISTANCE_KM
    assert 20 < near.sum() < 380
    # Lines are nearer than the points at their ends, by a few km where these are far apart.
    assert (found <= to_points + 1).all()
    assert np.median(to_points[near] - found[near]) < 1


def test_the_normals_are_plausible() -> None:
    climate = state_climate()
    assert {len(by_state) for by_state in climate.values()} == {50}  # 48 states, Alaska, and D.C. as Maryland
    assert min(climate["mean_temperature"], key=climate["mean_temperature"].__getitem__) == "02"
    assert max(climate["mean_temperature"], key=climate["mean_temperature"].__getitem__) == "12"
    assert all(0 <= value <= 12 for value in climate["freeze_thaw"].values())
    assert all(0 <= climate["snowfall"][state] <= climate["precipitation"][state] for state in climate["snowfall"])
    assert "NOAA" in normals_text().splitlines()[1]


def test_every_feature_is_documented_and_allowed() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
    assert all(each.unit and each.source and each.reason for each in FEATURES)
    assert features_markdown().count("\n") == len(FEATURES) + 1
    schema = {"structure_key": pl.String, "survey_year": pl.Int16, "next_survey_year": pl.Int16, "fall": pl.Boolean}
    assert leakage_problems(pl.DataFrame(schema={**schema, "split": pl.String}), FEATURE_NAMES) == []


#: Column of the InfoBridge export -> the climate quantity it should correlate with, and the minimum correlation.
COLUMNS = {
    "Average Temperature": ("mean_temperature", 0.9),
    "Number of Snowfall Days": ("snowfall", 0.7),
    "Number of Freeze-Thaw Cycles": ("freeze_thaw", 0.7),
    "Total Precipitation": ("precipitation", 0.5),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_state_climate_correlates_with_infobridge_measurements(real_data, column: str) -> None:
    table = pl.read_csv(real_data / "infobridge_44bridges_2000_2024.csv", infer_schema_length=None)
    codes = {line.split(",")[1]: line.split(",")[0] for line in normals_text().splitlines() if line[:2].isdigit()}
    bridges = (
        table.filter(pl.col("1 - State Name").is_in(list(codes)))
        .group_by("8 - Structure Number", "1 - State Name")
        .agg(pl.col(column).cast(pl.Float64, strict=False).mean())
        .drop_nulls()
    )
    assert bridges.height >= 30
    quantity, min_correlation = COLUMNS[column]
    ours = [state_climate()[quantity][codes[name]] for name in bridges["1 - State Name"]]
    assert np.corrcoef(ours, bridges[column].to_numpy())[0, 1] >= min_correlation
