"""Tags that jobs select by, set on every asset in one place.

`bridge_assets/stage` says which part of the work an asset belongs to. It follows from the asset's group, except where
`STAGE_OF_ASSET` says otherwise. `bridge_assets/enabled` is `false` on an endpoint that configs/environment.yaml does
not enable.
"""

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.settings.environment import EnvironmentSettings

STAGE = "bridge_assets/stage"
ENABLED = "bridge_assets/enabled"
#: On a remote endpoint: its section of environment.yaml.
TARGET = "bridge_assets/target"

DATA, FEATURES, TRAINING, DEPLOYMENT, SCORING, REPORTING = (
    "data",
    "features",
    "training",
    "deployment",
    "scoring",
    "reporting",
)

STAGE_OF_GROUP = {
    groups.INVENTORY: DATA,
    groups.WAREHOUSE: DATA,
    groups.FEATURES: FEATURES,
    groups.MODEL: TRAINING,
    groups.ENDPOINTS: DEPLOYMENT,
    groups.SCORING: SCORING,
    groups.REPORTING: REPORTING,
}

#: A training set is shown with the features it is made from, but only training needs it.
STAGE_OF_ASSET = {"training_set": TRAINING}


def with_job_tags(spec: dg.AssetSpec, environment: EnvironmentSettings) -> dg.AssetSpec:
    """An asset's spec with the tags that jobs select by."""
    stage = STAGE_OF_ASSET.get(spec.key.to_user_string()) or STAGE_OF_GROUP[spec.group_name or ""]
    tags = {**spec.tags, STAGE: stage}
    if target := spec.tags.get(TARGET):
        tags[ENABLED] = "true" if getattr(environment, target).enabled else "false"
    return spec.replace_attributes(tags=tags)
