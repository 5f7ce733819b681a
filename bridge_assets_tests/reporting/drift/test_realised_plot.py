"""The plot of published scores against what was found."""

from __future__ import annotations

import datetime
from typing import Any

import polars as pl

from bridge_assets.drift.realised_quality import AS_EXPECTED, IN_TRAINING, MUCH_WORSE, TOO_FEW, table_schema
from bridge_assets.reporting.drift.realised_plot import realised_plot_png

FIGURES = {
    "falls": 100,
    "expected_falls": 110.0,
    "falls_low": 80.0,
    "falls_high": 140.0,
    "auc": 0.71,
    "expected_auc": 0.72,
    "auc_low": 0.66,
    "auc_high": 0.78,
}


def row(survey_year: int, verdict: str, **figures: Any) -> dict[str, Any]:
    published = datetime.datetime(survey_year + 1, 7, 1)
    base = {"survey_year": survey_year, "training_until": 2014, "published_at": published, "verdict": verdict}
    return {**base, "expected_auc_of_scored": 0.72, **figures}


def test_every_verdict_is_drawn_and_the_same_table_gives_the_same_bytes() -> None:
    rows = [
        row(2014, IN_TRAINING, **FIGURES),
        row(2015, AS_EXPECTED, **FIGURES),
        row(2016, MUCH_WORSE, **{**FIGURES, "auc": 0.5}),
        row(2017, TOO_FEW),
    ]
    table = pl.DataFrame(rows, schema=table_schema())
    assert realised_plot_png(table).startswith(b"\x89PNG")
    assert realised_plot_png(table) == realised_plot_png(table)
    assert realised_plot_png(table.head(2)) != realised_plot_png(table)


def test_an_empty_table_gives_empty_axes() -> None:
    assert realised_plot_png(pl.DataFrame(schema=table_schema())).startswith(b"\x89PNG")
