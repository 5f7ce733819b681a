"""Named selections of the graph.

================  ===============================================================================================
full_pipeline     Everything: from the files to the gated endpoint, the scores and the reports.
inventory         The data alone: files, records, their quality, inspections and transitions. Needs no model.
latest_year       What one survey year needs, without training: its records, features, scores, drift, the reports.
scoring           The scores of a survey year that already has features, drift, and the reports.
retraining        Trains a model version and registers it as the challenger, if it is not worse than the champion.
promotion         Deploys a version to every enabled endpoint, through the gate.
smoke_checks      Sends the canary to every enabled endpoint. Materialises nothing.
================  ===============================================================================================

Each but the last three takes a survey year or a range of them and runs it as one run. Assets are selected by the tags
of `orchestration.tags`: a new asset becomes part of a job by its group and stage. The jobs that return to an earlier
model version are in `rollback`.
"""

from __future__ import annotations

import dagster as dg

from bridge_assets.orchestration import tags


def _stages(*stages: str) -> dg.AssetSelection:
    first, *others = [dg.AssetSelection.tag(tags.STAGE, stage) for stage in stages]
    for other in others:
        first = first | other
    return first


#: What watches the platform has jobs of its own (`operations`).
_ENABLED_ASSETS = dg.AssetSelection.all() - dg.AssetSelection.tag(tags.ENABLED, "false") - _stages(tags.OPERATIONS)

FULL_PIPELINE = dg.define_asset_job(
    "full_pipeline",
    selection=_ENABLED_ASSETS - _stages(tags.APPROVAL),
    description="From the survey files to the gated endpoint, the scores, drift and reports of survey years.",
)

INVENTORY = dg.define_asset_job(
    "inventory",
    selection=_stages(tags.DATA),
    description="The files of survey years, their records, data quality, inspections and transitions.",
)

LATEST_YEAR = dg.define_asset_job(
    "latest_year",
    # Neither trains nor deploys: new inspections are scored by the model that was promoted.
    selection=_ENABLED_ASSETS - _stages(tags.TRAINING, tags.APPROVAL, tags.DEPLOYMENT),
    description="The records, features, scores, drift and reports of a survey year, by the model that is being served.",
)

SCORING = dg.define_asset_job(
    "scoring",
    selection=_stages(tags.SCORING, tags.REPORTING),
    description="Score a survey year again with the model that is being served, and report.",
)

_ENABLED_ENDPOINTS = _stages(tags.DEPLOYMENT) & _ENABLED_ASSETS

RETRAINING = dg.define_asset_job(
    "retraining",
    selection=_stages(tags.TRAINING),
    description="Train a model version on today's features and outcomes; the challenger, if it is not worse.",
)

PROMOTION = dg.define_asset_job(
    "promotion",
    selection=_ENABLED_ENDPOINTS,
    description="Deploy a model version to the local endpoint and every enabled one, through the gate.",
)

SMOKE_CHECKS = dg.define_asset_job(
    "smoke_checks",
    selection=_ENABLED_ENDPOINTS - _ENABLED_ENDPOINTS.without_checks(),  # their checks alone
    description="Send the canary to every endpoint that is enabled in configs/environment.yaml, and to the local one.",
)

JOBS = [FULL_PIPELINE, INVENTORY, LATEST_YEAR, SCORING, RETRAINING, PROMOTION, SMOKE_CHECKS]
