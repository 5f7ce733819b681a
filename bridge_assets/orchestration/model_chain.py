"""Which model version a stage, a check or an endpoint works on: read from Dagster's event log.

Every stage of the chain (training_set, bridge_model, quantized_model, onnx_model, registered_model) puts its version
into the metadata of its materialization. The next stage takes the version that its upstream asset materialized in the
same run, or in a run that this one re-executes; failing that, the latest one. Therefore two runs that train different
versions at the same time never mix their stages.

Belongs here: that rule. Does not belong here: what a version's folder holds (`registry.model_version`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from bridge_assets.errors import ModelVersionError, SourceError
from bridge_assets.orchestration.event_log import materializations
from bridge_assets.registry.model_version import ModelVersion, get_version

if TYPE_CHECKING:
    from bridge_assets.models.training.training_set import TrainingSet
    from bridge_assets.orchestration.resources import Platform

#: Metadata keys of the version, and of the digest of the training set, that a stage produced.
MODEL_VERSION_KEY, TRAINING_SET_KEY = "model_version", "digest"

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


def upstream_version(context: Context, platform: Platform, asset: str) -> ModelVersion:
    """The model version that an asset of the chain materialized: in this run, else last.

    Parameters
    ----------
    context : AssetExecutionContext or AssetCheckExecutionContext
    platform : Platform
        For the folder of model versions.
    asset : str
        The upstream asset; a check passes the asset that it checks.

    Raises
    ------
    ModelVersionError
        If the asset was never materialized, or the version's folder is gone.
    """
    version = _materialized_value(context, asset, MODEL_VERSION_KEY)
    if version is None:
        stages = "" if asset == "bridge_model" else f" and the stages after it, up to {asset}"
        raise ModelVersionError(f"No {asset} yet", do=f"materialise bridge_model{stages}")
    return get_version(platform.data.models_folder, version)


def upstream_training_set(context: Context, platform: Platform) -> TrainingSet:
    """The training set that was materialized in this run, else last, after comparing it with the one in the lake.

    Raises
    ------
    SourceError
        If training_set was never materialized, or its table has been replaced since: the checks would not apply to the
        data that is trained on.
    """
    from bridge_assets.models.training import training_set

    materialized = _materialized_value(context, "training_set", TRAINING_SET_KEY)
    if materialized is None:
        raise SourceError("No training_set yet", do="materialise training_set")
    training_data = training_set.load_training_set(platform.lake)
    if training_data.digest != materialized:
        raise SourceError(
            "the training set was replaced after it was materialized for this run",
            where=platform.lake.table_path(training_set.TABLE_NAME),
            why=f"Its digest is {training_data.digest[:12]}, the event log says {materialized[:12]}: another run may "
            "have written it",
            do="materialise training_set and the assets after it again, in one run",
        )
    return training_data


def training_set_of(model_version: ModelVersion, platform: Platform) -> TrainingSet:
    """The training set in the lake, after comparing it with the one that a model version was trained on.

    Raises
    ------
    SourceError
        If it is a different one: its rows would prove nothing about this version.
    """
    from bridge_assets.models.training import training_set

    training_data, expected = training_set.load_training_set(platform.lake), model_version.stages["training_set"]
    if training_data.digest != expected:
        raise SourceError(
            f"model version {model_version.version} was trained on another training set",
            where=platform.lake.table_path(training_set.TABLE_NAME),
            why=f"Its digest is {training_data.digest[:12]}, the version was trained on {expected[:12]}",
            do="materialise bridge_model and the stages after it again",
        )
    return training_data


def _materialized_value(context: Context, asset: str, metadata_key: str) -> str | None:
    """A metadata value of the asset's materialization in this run, else of its latest one that has the value."""
    key = dg.AssetKey(asset)
    for run_id in _run_and_its_parents(context):
        for event in _materializations_of_run(context.instance, run_id):
            if event.asset_key == key and metadata_key in event.metadata:
                return str(event.metadata[metadata_key].value)
    for record in materializations(context.instance, key):
        event = record.asset_materialization
        if event and metadata_key in event.metadata:
            return str(event.metadata[metadata_key].value)
    return None


def _run_and_its_parents(context: Context) -> Iterator[str]:
    """This run, then the run that it re-executes, and so on: a re-execution from failure skips the stages before it."""
    run: dg.DagsterRun | None = context.run
    while run is not None:
        yield run.run_id
        run = context.instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None


def _materializations_of_run(instance: dg.DagsterInstance, run_id: str) -> list[dg.AssetMaterialization]:
    """The materializations of a run, newest first."""
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, ascending=False
    ).records
    return [record.asset_materialization for record in records if record.asset_materialization]
