"""A small home with every table, log and file that the dashboard reads, written in a second.

That the tables of a real run have these columns is tested on one (`orchestration/gate/test_deployment_records.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bridge_assets.deployment.core.deployment_log import DeploymentRecord, log_deployment

YEARS = range(2021, 2025)
STATES = ("25", "48")
PER_STATE = 40

#: A name that would run a script if it were not escaped, and one that a spreadsheet would run.
HOSTILE_KEY, HOSTILE_NAME = "25-B001", "<img src=x onerror=\"document.title='hacked'\">"
FORMULA_KEY, FORMULA_NAME = "25-B002", '=HYPERLINK("http://evil.example")'

#: A structure number with characters that an address must escape.
ODD_KEY = "25-A&B #3/ü"

RUN = "0a1b2c3d-0000-4000-8000-000000000000"


def write_home(home: Path) -> Path:
    """Write the home and return it."""
    lake = home / "lake"
    bridges = _bridges()
    _write(bridges, lake / "mart_bridge_outlook.parquet")
    _write(_structures(bridges), lake / "dim_structures.parquet")
    _write(_inspections(bridges), lake / "int_inspections.parquet")
    _write(_condition(bridges), lake / "mart_condition_by_year.parquet")
    _write(_rises(), lake / "fct_component_rises.parquet")
    _write(_renumbered(), lake / "renumbered_structures.parquet")
    _write(_realised(), lake / "realised_quality.parquet")
    for year in YEARS:
        _write(_records(bridges, year), lake / "raw_bridges" / f"{year}.parquet")
        _write(_predictions(bridges, year), lake / "bridge_predictions" / f"{year}.parquet")
        _write(_years_until_poor(bridges, year), lake / "years_until_poor" / f"{year}.parquet")
        _write(_features(bridges, year), lake / "bridge_features" / f"{year}.parquet")
        _write(_drift(year), lake / "drift_report" / f"{year}.parquet")
        _write(_quality(year), lake / "data_quality" / f"{year}.parquet")
        _write(_rejected(year), lake / "rejected_records" / f"{year}.parquet")
    _write_model(home / "models")
    _write_runs(home / "metrics" / "pipeline.jsonl")
    _write_endpoint(home)
    return home


def _write(table: pl.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)


def _bridges() -> pl.DataFrame:
    random = np.random.default_rng(1)
    keys = [f"{state}-B{i:03}" for state in STATES for i in range(1, PER_STATE + 1)]
    keys[2] = ODD_KEY
    n = len(keys)
    condition = random.integers(3, 10, n)
    names = [f"ROUTE {i}" for i in range(n)]
    names[0], names[1] = HOSTILE_NAME, FORMULA_NAME
    probability = random.uniform(0.01, 0.5, n).astype("float32")
    state = [key[:2] for key in keys]
    order = np.argsort(-probability)
    ranks = {i: sum(state[j] == state[i] for j in order[: list(order).index(i) + 1]) for i in range(n)}
    return pl.DataFrame(
        {
            "structure_key": keys,
            "survey_year": pl.Series([YEARS[-1]] * n, dtype=pl.Int16),
            "state_code": state,
            "county_code": ["001"] * n,
            "facility_carried": names,
            "features_intersected": ["MILL RIVER" if i % 2 else None for i in range(n)],
            "location": [f"{i} MI N OF TOWN" for i in range(n)],
            "latitude": 42.0 + random.uniform(0, 1, n),
            "longitude": -72.0 + random.uniform(0, 1, n),
            "owner": ["01"] * n,
            "year_built": [1950 + i % 60 for i in range(n)],
            "adt": [100 * (i + 1) for i in range(n)],
            "posting": ["A"] * n,
            "condition": pl.Series(condition, dtype=pl.Int8),
            "condition_class": ["Good" if c >= 7 else "Poor" if c <= 4 else "Fair" for c in condition],
            "inspection_date": [dt.date(2023, 1 + i % 12, 1) for i in range(n)],
            "fall_probability": probability,
            "state_fall_probability": [0.2] * n,
            "rank_in_state": pl.Series([ranks[i] for i in range(n)], dtype=pl.Int32),
            "look_first_rank": pl.Series([ranks[i] for i in range(n)], dtype=pl.Int32),
            "listed_as": ["Poor now" if c <= 4 else "Likely to become Poor" if c == 5 else None for c in condition],
            "rank_in_list": pl.Series([ranks[i] for i in range(n)], dtype=pl.Int32),
            "target": ["fall"] * n,
            "reasons": [
                [
                    {"feature": "peers_fall_rate", "value": 0.24, "contribution": 0.05},
                    {"feature": "age", "value": 61.0, "contribution": -0.02},
                ]
            ]
            * n,
            "years_until_poor": pl.Series([None if i % 7 == 0 else 12.3 for i in range(n)], dtype=pl.Float32),
            "years_until_poor_low": pl.Series([None if i % 7 == 0 else 3.0 for i in range(n)], dtype=pl.Float32),
            "years_until_poor_high": pl.Series([None if i % 7 == 0 else 21.5 for i in range(n)], dtype=pl.Float32),
            "years_until_poor_horizon": pl.Series([60] * n, dtype=pl.Int16),
            "model_version": ["abc123def456"] * n,
        }
    )


def _structures(bridges: pl.DataFrame) -> pl.DataFrame:
    return bridges.select(
        "structure_key",
        "state_code",
        pl.lit("3").alias("material_043a"),
        pl.lit(False).alias("is_culvert"),
        pl.col("year_built").alias("year_built_027"),
        pl.lit(30.0).alias("length_m_049"),
        pl.col("adt").alias("adt_029"),
        pl.col("condition").alias("last_condition"),
    )


def _records(bridges: pl.DataFrame, year: int) -> pl.DataFrame:
    rating = pl.col("condition").cast(pl.String)
    flag = pl.when(pl.col("structure_key") == HOSTILE_KEY).then(pl.lit("coordinate_impossible; lowercase_code"))
    return bridges.select(
        "structure_key",
        pl.lit(year, dtype=pl.Int16).alias("survey_year"),
        pl.lit(f"NBI_{year}.txt").alias("file"),
        pl.int_range(2, pl.len() + 2).alias("line_number"),
        "inspection_date",
        "condition",
        "condition_class",
        rating.alias("DECK_COND_058"),
        rating.alias("SUPERSTRUCTURE_COND_059"),
        rating.alias("SUBSTRUCTURE_COND_060"),
        pl.lit("N").alias("CULVERT_COND_062"),
        pl.lit("A").alias("OPEN_CLOSED_POSTED_041"),
        pl.col("adt").alias("ADT_029"),
        flag.otherwise(None).alias("flags"),
        pl.lit(None, dtype=pl.String).alias("unparsed"),
        pl.col("facility_carried").alias("FACILITY_CARRIED_007"),
        pl.col("features_intersected").alias("FEATURES_DESC_006A"),
        pl.col("location").alias("LOCATION_009"),
        pl.col("county_code").alias("COUNTY_CODE_003"),
        "latitude",
        "longitude",
        pl.col("year_built").alias("YEAR_BUILT_027"),
        pl.lit("3").alias("STRUCTURE_KIND_043A"),
        pl.lit(30.0).alias("STRUCTURE_LEN_MT_049"),
    )


def _inspections(bridges: pl.DataFrame) -> pl.DataFrame:
    dated = [
        bridges.with_columns(inspection_date=pl.lit(dt.date(year, 5, 1)), survey_year=year) for year in (2021, 2023)
    ]
    return (
        pl.concat(dated)
        .sort("structure_key", "inspection_date")
        .select(
            "structure_key",
            "survey_year",
            "inspection_date",
            "condition",
            "condition_class",
            pl.col("condition").shift(1).over("structure_key").alias("previous_condition"),
            pl.col("condition").alias("deck_rating_058"),
            pl.col("condition").alias("superstructure_rating_059"),
            pl.col("condition").alias("substructure_rating_060"),
            pl.lit(None, dtype=pl.Int8).alias("culvert_rating_062"),
            pl.lit(None, dtype=pl.String).alias("renewal"),
        )
    )


def _condition(bridges: pl.DataFrame) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for year in YEARS:
        for state in (*STATES, "all"):
            own = bridges if state == "all" else bridges.filter(pl.col("state_code") == state)
            counts = {name: own.filter(pl.col("condition_class") == name).height for name in ("Good", "Fair", "Poor")}
            shares = {name.lower(): counts[name] / own.height for name in counts}
            rows.append(
                {
                    "survey_year": year,
                    "state_code": state,
                    "structures": own.height,
                    **{name.lower(): number for name, number in counts.items()},
                    **{f"share_{name}": share for name, share in shares.items()},
                    "deck_area_m2": 300.0 * own.height,
                    **{f"{name}_area_share": share for name, share in shares.items()},
                    "nhs_poor_area_share": 0.1,
                    "fall_rate": None if year == YEARS[0] else 0.12,
                    "scored": own.height,
                    "mean_fall_probability": 0.11,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def _predictions(bridges: pl.DataFrame, year: int) -> pl.DataFrame:
    return bridges.select(
        "structure_key",
        pl.lit(year, dtype=pl.Int16).alias("survey_year"),
        pl.col("fall_probability") * (0.9 if year < YEARS[-1] else 1.0),
        "years_until_poor",
        "model_version",
    )


def _years_until_poor(bridges: pl.DataFrame, year: int) -> pl.DataFrame:
    shares = {f"poor_within_{years}_years": years / 40 for years in (2, 4, 8)} | {"poor_within_horizon": 0.9}
    return bridges.select(
        "structure_key",
        pl.lit(year, dtype=pl.Int16).alias("survey_year"),
        *(pl.lit(share).alias(name) for name, share in shares.items()),
        pl.lit(60, dtype=pl.Int16).alias("horizon_years"),
    )


def _features(bridges: pl.DataFrame, year: int) -> pl.DataFrame:
    return bridges.select(
        "structure_key",
        pl.lit(year, dtype=pl.Int16).alias("survey_year"),
        (year - pl.col("year_built")).cast(pl.Float32).alias("age"),
        pl.when(pl.col("adt") > 300).then(pl.col("adt").log10()).cast(pl.Float32).alias("log_adt"),
    )


def _drift(year: int) -> pl.DataFrame:
    from bridge_assets.drift.report import report_schema

    def row(kind: str, feature: str, measure: str, value: float, drifted: bool) -> dict[str, Any]:
        return {
            "survey_year": year,
            "period": "reference" if year < 2023 else "analysis",
            "kind": kind,
            "feature": feature,
            "state": "all",
            "measure": measure,
            "value": value,
            "threshold": 0.1,
            "error_threshold": 0.3,
            "drifted": drifted,
            "cause": "",
            "reference_mean": 50.0,
            "year_mean": 52.0,
            "reference_rows": 160,
            "year_rows": 80,
            "model_version": "abc123def456",
        }

    rows = [
        row("feature", "age", "kolmogorov_smirnov", 0.25 if year == YEARS[-1] else 0.02, year == YEARS[-1]),
        row("feature", "log_adt", "kolmogorov_smirnov", 0.01, False),
        row("prediction", "fall_probability", "kolmogorov_smirnov", 0.05, False),
    ]
    return pl.DataFrame(rows, schema=report_schema())


def _quality(year: int) -> pl.DataFrame:
    def row(measure: str, name: str, records: int) -> dict[str, Any]:
        share = records / 80
        return {
            "survey_year": year,
            "state": "all",
            "measure": measure,
            "name": name,
            "records": records,
            "of": 80,
            "share": share,
        }

    rows = [
        row("rows", "read", 82),
        row("rows", "loaded", 80),
        row("rows", "rejected", 2),
        row("rows", "on_structure", 80),
        row("flag", "any", 1),
        row("flag", "coordinate_impossible", 1),
        row("rejected", "field_count", 2),
        row("missing", "ADT_029", 3),
    ]
    return pl.DataFrame(rows)


def _rejected(year: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "file": [f"NBI_{year}.txt"] * 2,
            "line_number": [7, 99],
            "reason": ["field_count"] * 2,
            "detail": ["123 fields expected, 18 found"] * 2,
            "line": ["25,'<script>alert(1)</script>',1", "25,short"],
            "survey_year": pl.Series([year] * 2, dtype=pl.Int16),
        }
    )


def _rises() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "structure_key": [HOSTILE_KEY],
            "survey_year": [2023],
            "inspection_date": [dt.date(2023, 5, 1)],
            "component": ["deck"],
            "previous_rating": [5],
            "rating": [7],
            "kind": ["unexplained"],
            "evidence": pl.Series([None], dtype=pl.String),
        }
    )


def _renumbered() -> pl.DataFrame:
    return pl.DataFrame({"survey_year": [2022], "old_structure_key": ["25-OLD1"], "new_structure_key": [HOSTILE_KEY]})


def _realised() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "survey_year": [2021, 2022],
            "model_version": ["abc123def456"] * 2,
            "verdict": ["as expected", "as expected"],
            "outcomes": [78, 77],
            "falls": [9, 8],
            "expected_falls": [8.8, 8.5],
            "auc": [0.7, 0.72],
        }
    )


def _write_model(models: Path) -> None:
    scores = {
        name: {"auc": auc, "average_precision": 0.2, "brier": 0.09, "worst_10": 0.3, "ratio": 1.1}
        for name, auc in (("persistence", 0.5), ("base_rate", 0.5), ("rating_table", 0.6), ("model", 0.73))
    }
    evaluation = {
        "scores": scores,
        "inspections": 160,
        "first_year": 2023,
        "last_year": 2024,
        "calibration": {
            "bins": [
                {"expected": 0.05, "observed": 0.06, "observed_low": 0.02, "observed_high": 0.1, "inspections": 80},
                {"expected": 0.3, "observed": 0.28, "observed_low": 0.2, "observed_high": 0.36, "inspections": 80},
            ]
        },
        "importance": {
            "features": {"age": {"auc_loss": 0.05, "std": 0.01}, "log_adt": {"auc_loss": 0.01, "std": 0.01}}
        },
        "groups": [
            {
                "grouping": "state",
                "code": "25",
                "meaning": "Massachusetts",
                "inspections": 80,
                "observed": 0.1,
                "observed_low": 0.05,
                "observed_high": 0.2,
                "expected": 0.12,
                "auc": 0.7,
            }
        ],
    }
    folder = models / "abc123def456"
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
    (models / "latest.json").write_text(json.dumps({"version": "abc123def456"}), encoding="utf-8")


def _write_runs(path: Path) -> None:
    path.parent.mkdir(parents=True)
    common = {"run": RUN, "job": "full_pipeline", "partition": "2021...2024", "outcome": "success"}
    lines = [
        {
            **common,
            "kind": "asset",
            "at": 1.79e9,
            "asset": "raw_bridges",
            "partition": "2024",
            "rows": 80,
            "bytes": None,
        },
        {**common, "kind": "step", "at": 1.79e9 + 1, "step": "load_records", "seconds": 3.5, "peak_memory_mb": 200.0},
        {**common, "kind": "step", "at": 1.79e9 + 2, "step": "bridge_model", "seconds": 12.5, "outcome": "failure"},
        {**common, "kind": "run", "at": 1.79e9 + 3, "seconds": 75.0, "peak_memory_mb": 900.0},
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    path.write_text(f'{text}\n{{"kind": "run", "at": 17', encoding="utf-8")  # the last line is torn


def _write_endpoint(home: Path) -> None:
    endpoint = home / "endpoints" / "local"
    for slot in ("111111111111-aaa", "abc123def456-bbb"):
        (endpoint / "versions" / slot).mkdir(parents=True)
        manifest = {"made_from": {"survey_years": list(YEARS)}}
        (endpoint / "versions" / slot / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (endpoint / "current").symlink_to("versions/abc123def456-bbb")
    (endpoint / "history.json").write_text('["000000000000-zzz", "111111111111-aaa", "abc123def456-bbb"]')
    findings = [
        {"check": "bridge_model:beats_baselines", "state": "passed", "message": "AUC 0.73"},
        {"check": "onnx_model:onnx_parity", "state": "failed", "message": "largest difference 0.2"},
    ]
    log_deployment(
        home,
        DeploymentRecord(
            "local_endpoint", "refused", "222222222222", gate="closed", findings=findings, run=RUN, at=1.79e9
        ),
    )
    log_deployment(
        home,
        DeploymentRecord(
            "local_endpoint",
            "deployed",
            "abc123def456",
            previous="111111111111",
            gate="open",
            findings=findings[:1],
            run=RUN,
            at=1.79e9 + 60,
        ),
    )
