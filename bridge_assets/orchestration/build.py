"""The definitions, assembled once. This is the only place that reads settings, the source folder or the dbt project
while the code location loads: importing the modules under `orchestration` reads nothing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from bridge_assets.orchestration.alerts.sensor import alerts_sensor
from bridge_assets.orchestration.assets import (
    drift,
    endpoints,
    features,
    inventory,
    model,
    operations,
    quality,
    realised_quality,
    reporting,
    scoring,
    survival,
)
from bridge_assets.orchestration.assets.warehouse import warehouse_assets
from bridge_assets.orchestration.checks import drift as drift_checks
from bridge_assets.orchestration.checks import endpoints as endpoints_checks
from bridge_assets.orchestration.checks import inventory as inventory_checks
from bridge_assets.orchestration.checks import model as model_checks
from bridge_assets.orchestration.checks import quality as quality_checks
from bridge_assets.orchestration.checks import realised_quality as realised_quality_checks
from bridge_assets.orchestration.checks import scoring as scoring_checks
from bridge_assets.orchestration.checks import sources as sources_checks
from bridge_assets.orchestration.checks import survival as survival_checks
from bridge_assets.orchestration.dbt import dbt_resource
from bridge_assets.orchestration.jobs.acknowledge import acknowledge_alarm
from bridge_assets.orchestration.jobs.operations import OPERATIONS_JOBS, OPERATIONS_SCHEDULES
from bridge_assets.orchestration.jobs.pipelines import JOBS
from bridge_assets.orchestration.jobs.rollback import ROLLBACK_JOBS
from bridge_assets.orchestration.metadata.table_schemas import asset_schemas
from bridge_assets.orchestration.partitions import survey_year_partitions
from bridge_assets.orchestration.resources import Platform
from bridge_assets.orchestration.retraining import approval
from bridge_assets.orchestration.retraining.sensors import automatic_rollback, promotion, retraining
from bridge_assets.orchestration.schedules import smoke_checks, weekly_scoring
from bridge_assets.orchestration.sensors import new_survey_file
from bridge_assets.orchestration.tags import with_central_attributes

#: `in_process` (default: every step of a run in one process, each library imported once) or `multiprocess`.
EXECUTOR_VARIABLE = "BRIDGE_ASSETS_EXECUTOR"

ASSET_MODULES = [
    inventory,
    quality,
    features,
    model,
    approval,
    endpoints,
    scoring,
    survival,
    drift,
    realised_quality,
    reporting,
    operations,
]
CHECK_MODULES = [
    sources_checks,
    inventory_checks,
    quality_checks,
    model_checks,
    scoring_checks,
    realised_quality_checks,
    survival_checks,
    drift_checks,
    endpoints_checks,
]


def build_definitions(resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """Assemble assets, checks, jobs, schedules, sensors and the resources.

    Parameters
    ----------
    resources : mapping, optional
        Resources to use in place of the platform's own, by name: `platform` (a `Platform`) or `dbt`. Partitions, the
        dbt project and the endpoints that are enabled follow the settings of `platform`.

    Raises
    ------
    SettingsError
        If a configuration file or variable cannot be used.
    """
    platform = (resources or {}).get("platform", Platform())
    if not isinstance(platform, Platform):
        raise TypeError(f"resource platform: expected a Platform, found {type(platform).__name__}")
    warehouse = warehouse_assets(platform.data.home_folder)
    definitions = dg.Definitions(
        assets=_with_settings(
            [
                *dg.load_assets_from_modules(ASSET_MODULES, include_specs=True),
                warehouse.inventory,
                warehouse.reporting,
            ],
            platform,
        ),
        asset_checks=dg.load_asset_checks_from_modules(CHECK_MODULES),
        jobs=[*JOBS, *ROLLBACK_JOBS, acknowledge_alarm, *OPERATIONS_JOBS],
        schedules=[weekly_scoring, smoke_checks, *OPERATIONS_SCHEDULES],
        sensors=[
            new_survey_file,
            retraining,
            promotion,
            automatic_rollback,
            alerts_sensor(platform.environment.alerts),
        ],
        resources={"platform": platform, "dbt": dbt_resource(warehouse.project), **(resources or {})},
        executor=_executor(),
    )
    scaffolded = _scaffolded_definitions()
    return dg.Definitions.merge(definitions, scaffolded) if scaffolded else definitions


def _scaffolded_definitions() -> dg.Definitions | None:
    """What `dg scaffold defs` has written into `orchestration/defs`; None if it is empty, as in the repository."""
    folder = Path(__file__).with_name("defs")
    if not any(path.name not in ("__init__.py", "__pycache__") for path in folder.iterdir()):
        return None
    return dg.load_from_defs_folder(path_within_project=folder)


def _with_settings(assets: Sequence[object], platform: Platform) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets with the partitions, tags and columns that follow from the settings, and references to their code."""
    partitions, environment = survey_year_partitions(platform.data), platform.environment
    declared = [asset for asset in assets if isinstance(asset, dg.AssetsDefinition)]
    external = [spec for spec in assets if isinstance(spec, dg.AssetSpec)]
    schemas = asset_schemas((spec for asset in declared for spec in asset.specs), platform.model.task)

    def with_settings(spec: dg.AssetSpec) -> dg.AssetSpec:
        spec = with_central_attributes(spec, environment, schemas)
        return spec.replace_attributes(partitions_def=partitions) if spec.partitions_def else spec

    definitions = [asset.map_asset_specs(with_settings) for asset in declared]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # beta in 1.13, and pinned
        # The UI links each asset to the file and line of its function.
        linked = dg.with_source_code_references(definitions)
    return [*map(with_settings, external), *(each for each in linked if isinstance(each, dg.AssetsDefinition))]


def _executor() -> dg.ExecutorDefinition:
    known = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}
    selected = os.environ.get(EXECUTOR_VARIABLE, "in_process")
    if selected not in known:
        raise ValueError(f"{EXECUTOR_VARIABLE}={selected!r}. Expected: {' or '.join(known)}")
    return known[selected]
