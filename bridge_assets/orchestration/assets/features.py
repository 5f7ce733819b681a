"""From records to what a model learns from: bridge_features and training_set."""

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, survey_years
from bridge_assets.orchestration.resources import Platform


@dg.asset(
    deps=["raw_bridges", "fct_condition_transitions"],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.FEATURES,
    owners=display.MODEL_OWNERS,
    kinds={"polars", "parquet"},
    description=(
        "One bridge in one survey year: traffic, environment, structure, condition and past as numbers in natural "
        "units. A function of that record, of the inspections up to it, and of what the files up to that year tell of "
        "its peers; nothing of the future."
    ),
)
def bridge_features(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.data.features import build as engineering
    from bridge_assets.data.features.peers import peer_outcomes

    lake = platform.lake
    with user_errors_as_failures():
        transitions = lake.scan("fct_condition_transitions")
        history, outcomes = engineering.condition_history(transitions), peer_outcomes(transitions)
        for year in survey_years(context):
            features = engineering.build_bridge_features(lake.scan_year("raw_bridges", year), history, outcomes, year)
            digest = lake.write(features, "bridge_features", year)
            lake.write_provenance(
                "bridge_features",
                year,
                {
                    "digest": digest,
                    "raw_bridges": lake.digest("raw_bridges", year),
                    "features_digest": engineering.features_digest(),
                    "rows": features.height,
                },
            )
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": features.height,
                    "preview": display.preview(features.select(features.columns[:8])),
                },
                asset_key="bridge_features",
                partition_key=str(year),
            )
    return dg.MaterializeResult(
        metadata={
            "features": len(engineering.FEATURE_NAMES),
            "features_digest": engineering.features_digest(),
            "definitions": dg.MetadataValue.md(engineering.features_markdown()),
        }
    )


@dg.asset(
    deps=[bridge_features, "fct_condition_transitions"],
    group_name=groups.FEATURES,
    owners=display.MODEL_OWNERS,
    kinds={"polars", "parquet"},
    description=(
        "One inspection whose next inspection is known, with the features of that day and whether the condition fell. "
        "Split by structure and in time: no structure stands on both sides, and nothing trained on was known only "
        "later."
    ),
)
def training_set(platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.models.training.training_set import build_training_set

    with user_errors_as_failures():
        training_data = build_training_set(platform.lake, platform.model)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(training_data.digest[:12]),
        metadata={
            "dagster/row_count": training_data.table.height,
            "inspections_by_split": dg.MetadataValue.md(training_data.split_markdown()),
            "digest": training_data.digest,
            "made_from": training_data.made_from,
            "preview": display.preview(training_data.table.select(training_data.table.columns[:10])),
        },
    )
