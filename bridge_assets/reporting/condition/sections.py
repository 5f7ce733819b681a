"""Computes the figures of each section of the condition report, as plain values.

Each function returns None for an empty table; the page then says what to build.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from bridge_assets.reporting.condition.lists import scored_bridges
from bridge_assets.reporting.html.charts import shares_by_year, stacked_shares
from bridge_assets.reporting.wording import has_value

if TYPE_CHECKING:
    import polars as pl

Row: TypeAlias = dict[str, Any]
Metrics: TypeAlias = Mapping[str, float | None]

ALL_STATES = "all"
ORACLE = "oracle"

#: Forecasts that are left out if the evaluation does not have them.
OPTIONAL_FORECASTS = ("logistic_regression", "gradient_boosting", ORACLE)

#: Asset -> contents. The small print of each section names one of these.
SOURCES = {
    "fct_condition_by_year": "Structures by class, deck area, inspections and falls, by survey year and state",
    "mart_condition_by_year": "The same, with the mean probability of a fall",
    "mart_bridge_outlook": "Every structure of a scored survey year: probability, ranks, reasons and years until Poor",
    "bridge_model": "The evaluation of the model on held-out inspections",
    "drift_report": "Distance of each feature, state and survey year from the reference years",
    "raw_bridges": "The records of each survey file",
    "data_quality": "Flagged, missing and duplicated records, by survey year and state",
    "rejected_records": "Rows that were not loaded, with line number and reason",
}

#: Those of them that need a model.
MODEL_SOURCES = ("mart_condition_by_year", "mart_bridge_outlook", "bridge_model", "drift_report")

#: Forecast of the evaluation -> name and method for readers.
FORECAST_LABELS = {
    "persistence": ("No change", "every bridge keeps its current rating"),
    "base_rate": ("Base rate", "every bridge gets the average probability"),
    "rating_table": ("Rating table", "share of falls among bridges with the same rating for the same time"),
    "logistic_regression": ("Logistic regression", "linear model on the same features"),
    "gradient_boosting": ("Gradient boosting", "boosted trees on the same features"),
    "model": ("Model", "random forest on the bridge features"),
    "oracle": ("Oracle", "the true probability, known only for the sample: no model can do better"),
}

#: Metric -> name, meaning, what is better.
METRICS = {
    "auc": ("AUC", "chance that a deteriorating bridge is ranked above one that is not", "higher"),
    "average_precision": ("Average precision", "precision averaged over the ranking", "higher"),
    "brier": ("Brier score", "mean squared error of the probability", "lower"),
    "worst_10": ("Falls in the top tenth", "share of falls among the 10 % of bridges ranked highest", "higher"),
    "ratio": ("Expected / observed", "falls expected over falls observed", "nearer to 1"),
}


#: What is better -> how far a value is from the best one.
_DISTANCE: Mapping[str, Callable[[float], float]] = {
    "higher": lambda value: -value,
    "lower": lambda value: value,
    "nearer to 1": lambda value: abs(math.log(max(value, 1e-9))),
}


def sources(with_model: bool) -> Mapping[str, str]:
    """The assets that the page names."""
    return {name: contents for name, contents in SOURCES.items() if with_model or name not in MODEL_SOURCES}


def headline(condition_by_year: pl.DataFrame, outlook: pl.DataFrame, year: int | None) -> Row | None:
    """Headline figures of the latest survey year, with the change from the previous year in the table."""
    totals = _totals(condition_by_year)
    if not totals:
        return None
    current, previous = totals[-1], totals[-2] if len(totals) > 1 else None
    states = [row["state_code"] for row in _rows(condition_by_year) if row["survey_year"] == year]
    states = sorted(code for code in states if code != ALL_STATES)
    scored = scored_bridges(outlook, year)
    return {
        **current,
        "classes": [
            {
                "name": name,
                "structures": current[name.lower()],
                "share": current[f"share_{name.lower()}"],
                "area_share": current[f"{name.lower()}_area_share"],
            }
            for name in ("Good", "Fair", "Poor")
        ],
        "without_class": current["structures"] - current["good"] - current["fair"] - current["poor"],
        "previous": previous,
        "poor_change": _share_change(current, previous, "share_poor"),
        "states": states,
        "scored": scored.height,
        "expected_falls": float(scored["fall_probability"].sum()) if scored.height else None,
    }


def trend(condition_by_year: pl.DataFrame) -> Row | None:
    """Classes, and falls observed and expected, by survey year over all states."""
    totals = _totals(condition_by_year)
    if not totals:
        return None
    years = [row["survey_year"] for row in totals]
    shares = {name: [row[f"share_{name.lower()}"] for row in totals] for name in ("Poor", "Fair", "Good")}
    falls = {
        "Observed": [row["fall_rate"] for row in totals],
        "Expected": [row["mean_fall_probability"] for row in totals],
    }
    any_falls = any(has_value(value) for values in falls.values() for value in values)
    span = f"{years[0]} to {years[-1]}" if len(years) > 1 else str(years[0])
    return {
        "rows": totals[::-1],
        "classes": stacked_shares(f"Share of structures that are Poor, Fair and Good, {span}", years, shares),
        "falls": shares_by_year(f"Share of bridges whose rating falls, {span}", years, falls) if any_falls else None,
    }


def by_state(condition_by_year: pl.DataFrame, year: int | None) -> list[Row]:
    """The states of the survey year, largest share of Poor structures first."""
    rows = [row for row in _rows(condition_by_year) if row["survey_year"] == year and row["state_code"] != ALL_STATES]
    return sorted(rows, key=lambda row: (-(row["share_poor"] or 0.0), row["state_code"]))


def model_quality(evaluation: Mapping[str, Metrics] | None) -> Row | None:
    """The model and its baselines, with the best value of each metric marked, and whether the model ranks better."""
    if not evaluation:
        return None
    rows = []
    for key, (name, method) in FORECAST_LABELS.items():
        metrics = evaluation.get(key, {})
        if key in OPTIONAL_FORECASTS and not has_value(metrics.get("auc")):
            continue
        rows.append(
            {"key": key, "name": name, "method": method, "metrics": {metric: metrics.get(metric) for metric in METRICS}}
        )
    for metric, (_, _, better) in METRICS.items():
        values = [row["metrics"][metric] for row in rows if row["key"] != ORACLE and has_value(row["metrics"][metric])]
        best = min(values, key=_DISTANCE[better], default=None)
        for row in rows:
            row.setdefault("best", {})[metric] = (
                row["key"] != ORACLE and best is not None and row["metrics"][metric] == best
            )
    table, model = (next(row["metrics"] for row in rows if row["key"] == key) for key in ("rating_table", "model"))
    comparable = has_value(table["auc"]) and has_value(model["auc"])
    return {
        "metrics": METRICS,
        "rows": rows,
        "model_auc": model["auc"],
        "table_auc": table["auc"],
        "ranks_better": model["auc"] > table["auc"] if comparable else None,
    }


def drift_summary(drift: pl.DataFrame) -> Row | None:
    """The features that drifted in the latest compared year, and the number of drifted features in each year."""
    import polars as pl

    from bridge_assets.drift.numbers import ALL_STATES, FEATURE, PREDICTION
    from bridge_assets.reporting.drift.wording import MEASURE_NAMES

    if drift.is_empty():
        return None
    year = int(drift["survey_year"].max())  # pyright: ignore[reportArgumentType]: an integer column
    compared = drift.filter(pl.col("kind").is_in([FEATURE, PREDICTION]), pl.col("state") == ALL_STATES)
    latest = compared.filter(pl.col("survey_year") == year)
    # For each feature the measure that is furthest beyond its threshold.
    drifted = latest.filter("drifted").sort((pl.col("value") / pl.col("threshold")).abs(), "measure", descending=True)
    drifted = drifted.unique("feature", keep="first", maintain_order=True)
    drifted = drifted.with_columns(pl.col("measure").replace(MEASURE_NAMES))
    by_year = compared.group_by("survey_year").agg(pl.col("feature").filter("drifted").n_unique().alias("drifted"))
    return {
        "survey_year": year,
        "features": latest["feature"].n_unique(),
        "rows": _rows(drifted),
        "by_year": _rows(by_year.sort("survey_year")),
    }


def data_quality(ingestion: pl.DataFrame, rejections: pl.DataFrame) -> Row | None:
    """Rows read, loaded and rejected by survey year, and the reasons for rejection over all years."""
    import polars as pl

    from bridge_assets.nbi.delimited.records import REJECTION_REASONS

    if ingestion.is_empty():
        return None
    rows = _rows(ingestion.sort("survey_year", descending=True))
    reasons = []
    if not rejections.is_empty():
        counted = (
            rejections.group_by("reason")
            .agg(pl.col("rejected").sum())
            .sort("rejected", "reason", descending=[True, False])
        )
        reasons = [{**row, "meaning": REJECTION_REASONS.get(row["reason"], "")} for row in _rows(counted)]
    return {
        "rows": rows,
        "total": {name: sum(row[name] for row in rows) for name in ("rows_read", "loaded", "rejected")},
        "unreconciled": [row["survey_year"] for row in rows if row["rows_read"] != row["loaded"] + row["rejected"]],
        "reasons": reasons,
    }


def _rows(table: pl.DataFrame) -> list[Row]:
    # Convert NaN to None, so that there is only one kind of missing value from here on.
    import polars.selectors as cs

    return table.with_columns(cs.float().fill_nan(None)).to_dicts()


def _totals(condition_by_year: pl.DataFrame) -> list[Row]:
    rows = [row for row in _rows(condition_by_year) if row["state_code"] == ALL_STATES]
    return sorted(rows, key=lambda row: row["survey_year"])


def _share_change(current: Row, previous: Row | None, share: str) -> float | None:
    if previous is None or not has_value(current[share]) or not has_value(previous[share]):
        return None
    return current[share] - previous[share]
