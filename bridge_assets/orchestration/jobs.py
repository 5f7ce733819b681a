"""Named selections of the graph.

================  ===============================================================================================
full_pipeline     Everything: from the files to the gated endpoint, the scores and the reports.
inventory         The data alone: files, records, their quality, inspections and transitions. No model is needed.
latest_year       What one survey year needs, without training: its records, features, scores, drift, the reports.
================  ===============================================================================================

Each takes a survey year or a range of them and runs it as one run.
"""

from __future__ import annotations

import dagster as dg

from bridge_assets.orchestration import groups

FULL_PIPELINE = dg.define_asset_job(
    "full_pipeline",
    selection=dg.AssetSelection.all(),
    description="From the survey files to the gated endpoint, the scores, drift and reports of survey years.",
)

INVENTORY = dg.define_asset_job(
    "inventory",
    selection=dg.AssetSelection.groups(groups.INVENTORY, groups.WAREHOUSE),
    description="The files of survey years, their records, what is wrong with them, inspections and transitions.",
)

#: Neither trains nor deploys: new inspections are scored by the model that was promoted.
_WITHOUT_TRAINING = dg.AssetSelection.all() - dg.AssetSelection.assets(
    "training_set",
    "bridge_model",
    "quantized_model",
    "onnx_model",
    "registered_model",
    "local_endpoint",
    "deterioration_model",
)

LATEST_YEAR = dg.define_asset_job(
    "latest_year",
    selection=_WITHOUT_TRAINING,
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

JOBS = [FULL_PIPELINE, INVENTORY, LATEST_YEAR, SCORING]
