"""The drift plot for the Dagster UI."""

from __future__ import annotations

from support.scoring.drift_reports import drift_row, drift_table, prediction_row, schema_row

from bridge_assets.reporting.drift.plots import drift_plot_png


def test_is_a_png_of_the_same_bytes_each_time() -> None:
    missing = {"measure": "missing_share", "value": 0.5, "threshold": 0.05}
    table = drift_table(
        drift_row("x", 0.3),
        drift_row("empty", None),
        drift_row("empty", **missing),
        drift_row("gaps", threshold=3.0),
        drift_row("gaps", **missing),
        drift_row("x", 0.9, state="25"),
        prediction_row(),
        schema_row(),
    )
    image = drift_plot_png(table, 2025)
    assert image.startswith(b"\x89PNG") and image == drift_plot_png(table.reverse().reverse(), 2025)


def test_a_table_without_features_still_has_a_plot() -> None:
    assert drift_plot_png(drift_table(schema_row()), 2025).startswith(b"\x89PNG")
