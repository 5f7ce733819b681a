"""From records to training data: bridge_features and training_set."""

from collections.abc import Iterator

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.edges import write_year
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, readable_years
from bridge_assets.orchestration.resources import Platform

#: Metadata key of the observation that says why there is too little to train on.
NO_TRAINING_KEY = "skipped_reason"


@dg.asset(
    deps=["raw_bridges", "fct_condition_transitions"],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.FEATURES,
    owners=display.MODEL_OWNERS,
    kinds={"polars", "parquet"},
    description=(
        "One row per bridge and survey year: traffic, environment, structure, condition and history as numbers in "
        "natural units. Computed from that record, the inspections up to it, and what the files up to that year show "
        "about similar bridges; nothing from later years is used."
    ),
)
def bridge_features(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.data.features import build as engineering
    from bridge_assets.data.features.peers import peer_outcomes

    lake = platform.lake
    with user_errors_as_failures():
        transitions = lake.scan("fct_condition_transitions")
        history, outcomes = engineering.condition_history(transitions), peer_outcomes(transitions)
        for year in readable_years(context, lake):
            features = engineering.build_bridge_features(lake.scan_year("raw_bridges", year), history, outcomes, year)
            provenance = {
                "raw_bridges": lake.digest("raw_bridges", year),
                "features_digest": engineering.features_digest(),
            }
            preview = display.preview(features.select(features.columns[:8]))
            write_year(context, lake, features, year, provenance, {"preview": preview})
    return dg.MaterializeResult(
        metadata={
            "features": len(engineering.FEATURE_NAMES),
            "features_digest": engineering.features_digest(),
            "definitions": dg.MetadataValue.md(engineering.features_markdown()),
        }
    )


@dg.asset(
    deps=[bridge_features, "fct_condition_transitions"],
    output_required=False,
    group_name=groups.FEATURES,
    owners=display.MODEL_OWNERS,
    kinds={"polars", "parquet"},
    description=(
        "One row per inspection whose next inspection is known, with the features at that time and whether the "
        "condition dropped. Split by structure and by time: no structure is in both the training and the held-out "
        "part, and every outcome used for training was known before the held-out years. If there is too little to "
        "learn from, as in a single survey year, and no model is served, it is not materialized, and the run skips "
        "everything that needs a model."
    ),
)
def training_set(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.AssetObservation | dg.MaterializeResult]:
    from bridge_assets.data.features.build import current_feature_provenance
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.models.training.training_set import build_training_set, save_training_set, size_problems

    lake = platform.lake
    with user_errors_as_failures():
        table, made_from, normalization = build_training_set(
            lake.scan("fct_condition_transitions"),
            lake.scan("int_inspections"),
            lake.scan_years("bridge_features"),
            current_feature_provenance(lake),
            platform.model,
        )
        training_data = save_training_set(lake, table, made_from, normalization)
        serves = LocalEndpoint(platform.data.endpoint_folder).current() is not None
    if (problems := size_problems(training_data)) and not serves:
        # Without an output Dagster skips everything that needs a model; the rest of the run goes on. Where a model is
        # served, there was enough before: the check `enough_training_data` then fails the run.
        context.log.warning("; ".join(problems))
        yield dg.AssetObservation(context.asset_key, metadata={NO_TRAINING_KEY: "; ".join(problems)})
        return
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(training_data.digest[:12]),
        metadata={
            "dagster/row_count": training_data.table.height,
            "inspections_by_split": dg.MetadataValue.md(training_data.split_markdown()),
            "digest": training_data.digest,
            "made_from": training_data.made_from,
            "preview": display.preview(training_data.table.select(training_data.table.columns[:10])),
        },
    )
