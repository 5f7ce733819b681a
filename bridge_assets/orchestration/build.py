"""Everything under the roof, put together once."""

from __future__ import annotations

import os

import dagster as dg

from bridge_assets.orchestration.assets import (
    drift,
    endpoints,
    features,
    inventory,
    model,
    quality,
    reporting,
    scoring,
    survival,
    warehouse,
)
from bridge_assets.orchestration.checks import endpoints as endpoints_checks
from bridge_assets.orchestration.checks import inventory as inventory_checks
from bridge_assets.orchestration.checks import model as model_checks
from bridge_assets.orchestration.checks import quality as quality_checks
from bridge_assets.orchestration.checks import scoring as scoring_checks
from bridge_assets.orchestration.checks import survival as lifetimes_checks
from bridge_assets.orchestration.dbt import dbt_resource
from bridge_assets.orchestration.jobs.pipelines import JOBS
from bridge_assets.orchestration.jobs.rollback import ROLLBACK_JOBS
from bridge_assets.orchestration.resources import Platform
from bridge_assets.orchestration.schedules import smoke_checks, weekly_scoring
from bridge_assets.orchestration.sensors import new_survey_file

#: `in_process` (default: every step of a run in one process, nothing imported twice) or `multiprocess`.
EXECUTOR_VARIABLE = "BRIDGE_ASSETS_EXECUTOR"

ASSET_MODULES = [inventory, quality, warehouse, features, model, endpoints, scoring, survival, drift, reporting]
CHECK_MODULES = [inventory_checks, quality_checks, model_checks, scoring_checks, lifetimes_checks, endpoints_checks]


def build_definitions() -> dg.Definitions:
    """Assemble assets, checks, jobs, the schedule, the sensor and the resources."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules(ASSET_MODULES),
        asset_checks=dg.load_asset_checks_from_modules(CHECK_MODULES),
        jobs=[*JOBS, *ROLLBACK_JOBS],
        schedules=[weekly_scoring, smoke_checks],
        sensors=[new_survey_file],
        resources={"platform": Platform(), "dbt": dbt_resource()},
        executor=_executor(),
    )


def _executor() -> dg.ExecutorDefinition:
    known = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}
    selected = os.environ.get(EXECUTOR_VARIABLE, "in_process")
    if selected not in known:
        raise ValueError(f"{EXECUTOR_VARIABLE}={selected!r}. Expected: {' or '.join(known)}")
    return known[selected]
