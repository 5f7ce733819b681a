"""A small platform with its own home: runs jobs, and single assets as a click in the UI does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bridge_assets.data.lake import Lake

# The partitions follow the source at the time the definitions load. It is empty here, whatever this machine's own home
# contains, so that every year has a partition.
with pytest.MonkeyPatch.context() as _empty_home:
    _empty_home.setenv("BRIDGE_ASSETS_DATA__HOME", "nowhere")
    from bridge_assets.definitions import defs
    from bridge_assets.orchestration.runs.run_job import RunResult, run_job, step_errors

YEARS = (2009, 2018)

#: Small enough to be fast; the limits of the gate are lowered to what so few structures can reach.
SMALL_SETTINGS = {
    "BRIDGE_ASSETS_DATA__SOURCE": "sample",
    "BRIDGE_ASSETS_DATA__SAMPLE__STRUCTURES": "900",
    "BRIDGE_ASSETS_DATA__SAMPLE__FIRST_YEAR": str(YEARS[0]),
    "BRIDGE_ASSETS_DATA__SAMPLE__LAST_YEAR": str(YEARS[1]),
    "BRIDGE_ASSETS_MODEL__FOREST__TREES": "30",
    "BRIDGE_ASSETS_MODEL__FOREST__DEPTH": "6",
    "BRIDGE_ASSETS_MODEL__SPLIT__HOLDOUT_YEARS": "3",
    "BRIDGE_ASSETS_MODEL__GATE__HOLDOUT_INSPECTIONS": "50",
    "BRIDGE_ASSETS_MODEL__GATE__HOLDOUT_FALLS": "5",
    "BRIDGE_ASSETS_MODEL__GATE__AUC_GAIN": "-0.5",
    "BRIDGE_ASSETS_MODEL__GATE__BRIER_GAIN": "-0.5",
    "BRIDGE_ASSETS_MODEL__GATE__RMSE_GAIN": "-1",
    "BRIDGE_ASSETS_MODEL__GATE__SPEARMAN_GAIN": "-2",
    "BRIDGE_ASSETS_MODEL__GATE__CALIBRATION_ERROR": "1",
    "BRIDGE_ASSETS_MODEL__GATE__CALIBRATION_FALLS": "100000",
    "BRIDGE_ASSETS_MODEL__GATE__PART_FALLS": "100000",
    "BRIDGE_ASSETS_MODEL__GATE__CHAMPION_AUC_LOSS": "0.5",
    "BRIDGE_ASSETS_MODEL__GATE__CHAMPION_BRIER_LOSS": "0.5",
}


@dataclass(frozen=True)
class SmallPlatform:
    """The platform in its own home, and the result of its first run."""

    home: Path
    first_run: RunResult

    @property
    def lake(self) -> Lake:
        return Lake(self.home / "lake")

    def run(self, job: str = "full_pipeline", years: tuple[int, int] = YEARS, **run_config: Any) -> RunResult:
        return run_job(job, years, run_config or None)

    def materialize(
        self, *assets: str, partition: str | None = None, checks: bool = True, config: dict[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Materialise assets as a click in the UI does: a new run of just these, with or without their checks."""
        selection = dg.AssetSelection.assets(*assets)
        if not checks:
            selection = selection.without_checks()
        job = defs.get_repository_def().get_implicit_global_asset_job_def()
        graph = defs.resolve_asset_graph()
        with dg.DagsterInstance.get() as instance:
            return job.get_subset(
                asset_selection=selection.resolve(graph), asset_check_selection=selection.resolve_checks(graph)
            ).execute_in_process(
                instance=instance,
                partition_key=partition,
                run_config={
                    "ops": {asset: {"config": config} for asset in assets if config},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
                raise_on_error=False,
            )


def error_messages(result: dg.ExecuteInProcessResult) -> str:
    """The error messages of a run's failed steps."""
    return "\n".join(message for _, message in step_errors(result))
