"""Named selections of the graph.

================  ===============================================================================================
full_pipeline     Everything: from the files to the gated endpoint, the scores and the reports.
inventory         The data alone: files, records, their quality, inspections and transitions. No model is needed.
smoke_checks      Asks every enabled endpoint for its canary. Makes nothing.
latest_year       What one survey year needs, without training: its records, features, scores, drift, the reports.
================  ===============================================================================================

Each but `smoke_checks` takes a survey year or a range of them and runs it as one run. The jobs that go back to an
earlier model version stand in `rollback`.
"""

from __future__ import annotations

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.endpoints import PROVIDERS
from bridge_assets.settings.environment import EnvironmentSettings

#: Read when the code location loads: a target that is enabled later is part of the jobs after a reload.
_ENVIRONMENT = EnvironmentSettings.load()
_DISABLED_ENDPOINTS = [provider.asset for provider in PROVIDERS if not getattr(_ENVIRONMENT, provider.key).enabled]
_ENABLED_ASSETS = dg.AssetSelection.all() - dg.AssetSelection.assets(*_DISABLED_ENDPOINTS)

FULL_PIPELINE = dg.define_asset_job(
    "full_pipeline",
    selection=_ENABLED_ASSETS,
    description="From the survey files to the gated endpoint, the scores, drift and reports of survey years.",
)

INVENTORY = dg.define_asset_job(
    "inventory",
    selection=dg.AssetSelection.groups(groups.INVENTORY, groups.WAREHOUSE),
    description="The files of survey years, their records, what is wrong with them, inspections and transitions.",
)

#: Neither trains nor deploys: new inspections are scored by the model that was promoted.
_SCORING_ASSETS = _ENABLED_ASSETS - dg.AssetSelection.assets(
    "training_set",
    "bridge_model",
    "quantized_model",
    "onnx_model",
    "registered_model",
    "local_endpoint",
    *(provider.asset for provider in PROVIDERS),
    "deterioration_model",
)

LATEST_YEAR = dg.define_asset_job(
    "latest_year",
    selection=_SCORING_ASSETS,
    description="The records, features, scores, drift and reports of a survey year, by the model that is being served.",
)

SCORING = dg.define_asset_job(
    "scoring",
    selection=dg.AssetSelection.assets(
        "bridge_predictions",
        "years_until_poor",
        "drift_report",
        "mart_condition_by_year",
        "mart_bridge_outlook",
        "condition_report",
        "looker_sheet",
    ),
    description="Score a survey year anew with the model that is being served, and report.",
)

SMOKE_CHECKS = dg.define_asset_job(
    "smoke_checks",
    selection=dg.AssetSelection.checks_for_assets(
        "local_endpoint", *(provider.asset for provider in PROVIDERS if provider.asset not in _DISABLED_ENDPOINTS)
    ),
    description="Send the canary to every endpoint that is enabled in configs/environment.yaml, and to the local one.",
)

JOBS = [FULL_PIPELINE, INVENTORY, LATEST_YEAR, SCORING, SMOKE_CHECKS]
