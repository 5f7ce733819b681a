"""Runs of the pipeline: how each ended, how long its steps took, and when each asset was last materialized."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from bridge_assets.dashboard import component
from bridge_assets.dashboard.address_widgets import choice
from bridge_assets.dashboard.queries import pipeline
from bridge_assets.dashboard.queries.tables import MissingTableError, Tables
from bridge_assets.dashboard.session import dashboard_settings, data_settings, tables


def show() -> None:
    """Draw the page."""
    home = data_settings().home_folder
    try:
        stamp = pipeline.log_stamp(home)
        runs, assets = _log(tables(), home, stamp, dashboard_settings().components.runs)
    except MissingTableError as error:
        return component.missing(error, "pipeline")
    component.show("pipeline.html", key="pipeline", runs=runs, dagster=dashboard_settings().dagster)
    if runs:
        by_id = {run["run"]: run for run in runs}
        run = choice(
            "Steps of run",
            list(by_id),
            "run",
            format_func=lambda run: f"{by_id[run]['job']} {by_id[run]['partition'] or ''} ({run[:8]})",
        )
        steps = pipeline.steps_of(tables(), home, run)
        slowest = max((step["seconds"] or 0 for step in steps), default=0) or 1
        component.show("pipeline_steps.html", key="steps", steps=steps, slowest=slowest)
    component.show("pipeline_assets.html", key="assets", assets=assets, dagster=dashboard_settings().dagster)
    return None


@lru_cache(maxsize=4)
def _log(source: Tables, home: Path, stamp: tuple[object, ...], runs: int) -> tuple[list[Any], list[Any]]:
    return pipeline.recent_runs(source, home, runs), pipeline.last_assets(source, home)
