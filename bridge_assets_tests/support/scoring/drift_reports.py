"""Small drift reports, as `drift.report` makes them, for whatever reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from bridge_assets.drift import limits
from bridge_assets.drift.report import report_schema


def drift_row(feature: str = "age", value: float | None = 0.02, **more: Any) -> dict[str, Any]:
    """A row of a steady feature; drifted if its value is above 0.05."""
    threshold = more.get("threshold", 0.05)
    return {
        "survey_year": 2025,
        "period": "analysis",
        "kind": "feature",
        "feature": feature,
        "state": "all",
        "measure": limits.KS,
        "value": value,
        "threshold": threshold,
        "error_threshold": None,
        "drifted": value is not None and threshold is not None and abs(value) > threshold,
        "cause": "",
        "reference_mean": 40.0,
        "year_mean": 40.5,
        "reference_rows": 70_000,
        "year_rows": 6000,
        "model_version": "3fa9c1d20b7e",
        **more,
    }


def prediction_row(value: float | None = 0.02, **more: Any) -> dict[str, Any]:
    """A row of the predictions; an ERROR above 0.15."""
    means = {"reference_mean": 0.11, "year_mean": 0.12}
    return drift_row("fall_probability", value, **{"kind": "prediction", "error_threshold": 0.15, **means, **more})


def recoded_row(item: str, state: str, cause: str = "recoded: 8 to U (310 bridges)", **more: Any) -> dict[str, Any]:
    """A row of a state that recoded an item."""
    measure = {"measure": "moved_without_inspection", "threshold": 0.1}
    return drift_row(item, 0.4, kind="code", state=state, cause=cause, **{**measure, **more})


def drift_table(*rows: dict[str, Any]) -> pl.DataFrame:
    """A drift_report of these rows."""
    return pl.DataFrame(list(rows), schema=report_schema())


def schema_row(value: float = 0.0, **more: Any) -> dict[str, Any]:
    """The row that counts the changes of columns; or one of a change."""
    base = {"kind": "schema", "measure": "changes", "threshold": 0.0}
    return drift_row("all columns", value, **{**base, **more})


def steady_rows(year: int = 2025, more: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """A year in which nothing drifted, and further rows."""
    rows = [drift_row(), drift_row("log_adt", 0.01), prediction_row(), schema_row(), *more]
    return [{**row, "survey_year": year} for row in rows]
