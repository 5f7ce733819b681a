"""What every asset gets in one place: the tags that jobs select by, code version, column schema.

`bridge_assets/stage` says which part of the work an asset belongs to. It follows from the asset's group, except where
`STAGE_OF_ASSET` says otherwise. `bridge_assets/enabled` is `false` on an endpoint that configs/environment.yaml does
not enable.
"""

from collections.abc import Mapping

import dagster as dg

from bridge_assets.deployment.targets import REMOTE_TARGETS
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.metadata.automation import AUTOMATION_CONDITIONS
from bridge_assets.orchestration.metadata.table_schemas import SCHEMA_KEY
from bridge_assets.settings.environment import EnvironmentSettings

STAGE = "bridge_assets/stage"
ENABLED = "bridge_assets/enabled"
#: On a remote endpoint: its section of environment.yaml.
TARGET = "bridge_assets/target"

#: On the runs of the retraining loop: why it trained, and which version it deploys (`orchestration.retraining`).
RETRAINING_TAG, PROMOTION_TAG = "bridge_assets/retraining", "bridge_assets/promotion"

DATA, FEATURES, TRAINING, APPROVAL, DEPLOYMENT, SCORING, REPORTING, OPERATIONS = (
    "data",
    "features",
    "training",
    "approval",
    "deployment",
    "scoring",
    "reporting",
    "operations",
)

STAGE_OF_GROUP = {
    groups.INVENTORY: DATA,
    groups.WAREHOUSE: DATA,
    groups.FEATURES: FEATURES,
    groups.MODEL: TRAINING,
    groups.ENDPOINTS: DEPLOYMENT,
    groups.SCORING: SCORING,
    groups.REPORTING: REPORTING,
    groups.OPERATIONS: OPERATIONS,
}

#: The training set is shown with the features that it is built from, but only training needs it. The report on the
#: inventory is shown with the other reports, but needs no scores. Only a person approves: no job does it.
STAGE_OF_ASSET = {"training_set": TRAINING, "approved_model": APPROVAL, "inventory_report": DATA}

#: Code version of each asset that reports its own data version. Increase it with a change that alters the results, and
#: the UI shows which assets are out of date. dbt models bring their own. The other assets have none: with a code
#: version but no data version, Dagster would derive the data version from code and inputs alone, and a changed survey
#: file would look unchanged.
CODE_VERSIONS = {
    "training_set": "1",
    "bridge_model": "1",
    "quantized_model": "1",
    "onnx_model": "1",
    "registered_model": "1",
    "approved_model": "1",
    "local_endpoint": "1",
    **{target.asset: "1" for target in REMOTE_TARGETS},
}


def with_central_attributes(
    spec: dg.AssetSpec, environment: EnvironmentSettings, schemas: Mapping[str, dg.TableSchema]
) -> dg.AssetSpec:
    """An asset's spec with the tags that jobs select by, its code version, its automation condition, and its column
    schema if it is a table.

    Parameters
    ----------
    spec : AssetSpec
    environment : EnvironmentSettings
        Says which endpoints are enabled.
    schemas : mapping
        Asset -> its columns, as in `table_schemas.asset_schemas`.
    """
    name = spec.key.to_user_string()
    stage = STAGE_OF_ASSET.get(name) or STAGE_OF_GROUP[spec.group_name or ""]
    tags = {**spec.tags, STAGE: stage}
    if target := spec.tags.get(TARGET):
        tags[ENABLED] = "true" if getattr(environment, target).enabled else "false"
    metadata = {**spec.metadata, SCHEMA_KEY: schemas[name]} if name in schemas else spec.metadata
    code_version = CODE_VERSIONS.get(name, spec.code_version)
    automation = AUTOMATION_CONDITIONS.get(name, spec.automation_condition)
    return spec.replace_attributes(
        tags=tags, code_version=code_version, metadata=metadata, automation_condition=automation
    )
