"""A condition report of made-up figures."""

from __future__ import annotations

import datetime as dt

import polars as pl

from bridge_assets.reporting.condition.page import ConditionReport
from bridge_assets.scoring.shap_values import reasons_dtype

EVIL = "<script>alert('x')</script>"


def by_year(year: int, state: str, good: int, fair: int, poor: int, **more: float | None) -> dict:
    structures = good + fair + poor
    return {
        "survey_year": year,
        "state_code": state,
        "structures": structures,
        "good": good,
        "fair": fair,
        "poor": poor,
        "share_good": good / structures,
        "share_fair": fair / structures,
        "share_poor": poor / structures,
        "good_area_share": 0.4,
        "fair_area_share": 0.543,
        "poor_area_share": 0.057,
        "nhs_structures": 4000,
        "nhs_area_m2": 3_500_000.0,
        "nhs_good_area_share": 0.39,
        "nhs_poor_area_share": 0.065,
        "inspections_compared": 0,
        "falls": 0,
        "fall_rate": None,
        "mean_fall_probability": None,
        **more,
    }


def bridge(key: str, probability: float | None, **more: object) -> dict:
    return {
        "structure_key": key,
        "survey_year": 2025,
        "state_code": key[:2],
        "county_code": "017",
        "facility_carried": "I-90 EB",
        "features_intersected": "MILL RIVER",
        "location": "2 KM S OF TOWN",
        "condition": 4,
        "condition_class": "Poor",
        "inspection_date": dt.date(2024, 5, 1),
        "fall_probability": probability,
        "state_fall_probability": 0.093,
        "listed_as": "Poor now",
        "rank_in_list": 1,
        "target": "fall",
        "reasons": None,
        "years_until_poor": None,
        "years_until_poor_low": None,
        "years_until_poor_high": None,
        "years_until_poor_horizon": None,
        "model_version": "3fa9c1d20b7e",
        **more,
    }


def entry(feature: str, value: float | None, contribution: float) -> dict:
    return {"feature": feature, "value": value, "contribution": contribution}


def table(*bridges: dict) -> pl.DataFrame:
    types = {"reasons": reasons_dtype(), "years_until_poor_horizon": pl.Int16}
    types |= dict.fromkeys(("years_until_poor", "years_until_poor_low", "years_until_poor_high"), pl.Float32)
    return pl.DataFrame(list(bridges), schema_overrides=types, infer_schema_length=None)


def condition_report() -> ConditionReport:
    """Two survey years of two states, with text that a browser would execute if it were not escaped."""
    return ConditionReport(
        condition_by_year=pl.DataFrame(
            [
                by_year(2024, "all", 5000, 6000, 1345),
                by_year(2024, "25", 5000, 6000, 1345),
                by_year(
                    2025,
                    "all",
                    5011,
                    6100,
                    1234,
                    inspections_compared=6000,
                    falls=660,
                    fall_rate=0.11,
                    mean_fall_probability=0.1,
                ),
                by_year(2025, "25", 5000, 5000, 1000, inspections_compared=5000, falls=600, fall_rate=0.12),
                by_year(2025, "02", 11, 1100, 234, inspections_compared=1000, falls=60, fall_rate=0.06),
            ],
            infer_schema_length=None,
        ),
        outlook=table(
            bridge(
                "25-100",
                0.1234,
                listed_as="Likely to become Poor",
                rank_in_list=2,
                condition=5,
                condition_class="Fair",
                years_until_poor=12.34,
                years_until_poor_low=3.0,
                years_until_poor_horizon=60,
            ),
            bridge(
                "25-200",
                0.5,
                facility_carried=EVIL,
                features_intersected='"BIG" & O\'NEAL CREEK',
                years_until_poor_horizon=60,
                reasons=[
                    entry("age", 61.0, 0.0412),
                    entry("over_water", 1.0, -0.03),
                    entry(EVIL, 2.0, 0.02),
                    entry("log_adt", None, 0.01),
                    entry("skew", 30.0, 0.001),
                ],
            ),
            bridge("02-7", 0.3, inspection_date=None, location=None, county_code=None, condition_class="Poor"),
            bridge("02-8", None),
            bridge("25-300", 0.9, survey_year=2024),
        ),
        evaluation={
            "persistence": {"auc": 0.5, "average_precision": 0.1, "brier": 0.11, "worst_10": 0.1, "ratio": 0.0},
            "base_rate": {"auc": 0.5, "average_precision": 0.1, "brier": 0.0971, "worst_10": 0.1, "ratio": 1.1},
            "rating_table": {
                "auc": 0.613,
                "average_precision": 0.15,
                "brier": 0.0949,
                "worst_10": 0.174,
                "ratio": 0.98,
            },
            "logistic_regression": {
                "auc": 0.7,
                "average_precision": 0.22,
                "brier": 0.0921,
                "worst_10": 0.26,
                "ratio": 1.2,
            },
            "model": {"auc": 0.711, "average_precision": 0.233, "brier": 0.0905, "worst_10": 0.283, "ratio": 1.03},
        },
        drift=pl.DataFrame(
            {
                "survey_year": [2024, 2024, 2025, 2025, 2025, 2025, 2025],
                "kind": ["feature"] * 6 + ["code"],
                "feature": ["age", "log_adt", "age", "log_adt", "scour", "age", "OWNER_022"],
                "state": ["all"] * 5 + ["25", "all"],
                "measure": ["kolmogorov_smirnov"] * 4 + ["missing_share", "kolmogorov_smirnov", "total_variation"],
                "value": [0.01, 0.02, 0.02, 0.35, 0.9, 0.4, 0.5],
                "threshold": [0.05, 0.06, 0.05, 0.06, 0.05, 0.1, 0.05],
                "drifted": [False, False, False, True, True, True, True],
            }
        ),
        ingestion=pl.DataFrame(
            {"survey_year": [2024, 2025], "rows_read": [12_350, 12_349], "loaded": [12_345] * 2, "rejected": [5, 4]}
        ),
        rejections=pl.DataFrame(
            {
                "survey_year": [2024, 2025, 2025],
                "reason": ["field_count", "field_count", "no_key"],
                "rejected": [5, 3, 1],
            }
        ),
        provenance={"Model version": "3fa9c1d20b7e", "Source": f"{EVIL} sample"},
    )
