"""The sensors of the loop: train, promote, roll back. Stopped by default: they take compute and change what serves."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

from bridge_assets.deployment.targets import ENDPOINT_KEYS
from bridge_assets.errors import ModelVersionError
from bridge_assets.orchestration.event_log import evaluations
from bridge_assets.orchestration.gate.check_history import step_ended
from bridge_assets.orchestration.gate.materialized import Materialized, latest_version_of
from bridge_assets.orchestration.gate.rollbacks import left_versions
from bridge_assets.orchestration.jobs.rollback import ROLLBACK_JOBS
from bridge_assets.orchestration.resources import Platform
from bridge_assets.orchestration.retraining.due import NotDue, retraining_due
from bridge_assets.orchestration.tags import PROMOTION_TAG, RETRAINING_TAG

#: Longest reason in a tag, in characters.
_MAX_TAG_LENGTH = 200

_IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]

_HOUR_SECONDS = 3600.0


@dg.sensor(
    job_name="retraining",
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Trains a challenger when survey years have features that the last model has not seen, for the reasons and "
        "after the cool-down that `retraining` in model_config.yaml sets. The challenger is compared with the champion "
        "and registered only if it is not worse. Trains on the same records once."
    ),
)
def retraining(context: dg.SensorEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
    if runs := context.instance.get_runs(dg.RunsFilter(job_name="retraining", statuses=_IN_PROGRESS), limit=1):
        return dg.SkipReason(f"Run {runs[0].run_id[:8]} is training.")
    try:
        due = retraining_due(context.instance, platform.lake, platform.data, platform.model, time.time())
    except ModelVersionError as error:
        return dg.SkipReason(str(error))
    if isinstance(due, NotDue):
        return dg.SkipReason(due.reason)
    reason = " ".join(due.reasons)
    context.log.info(reason)
    return dg.RunRequest(run_key=due.inputs, tags={RETRAINING_TAG: reason[:_MAX_TAG_LENGTH]})


@dg.sensor(
    job_name="promotion",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Deploys the challenger that the job `retraining` registered last to every enabled endpoint, through the gate: "
        "at once, or after approved_model has been materialised for it (`retraining.promotion` in model_config.yaml). "
        "Once for each version or approval; not a version that was rolled back."
    ),
)
def promotion(context: dg.SensorEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
    from bridge_assets.deployment.local import LocalEndpoint

    challenger = latest_version_of(context.instance, "registered_model")
    if challenger is None or RETRAINING_TAG not in _tags(context.instance, challenger):
        return dg.SkipReason("The job `retraining` has not registered the latest version: a person promotes it.")
    version = challenger.version
    if LocalEndpoint(platform.data.endpoint_folder).current() == version:
        return dg.SkipReason(f"Model {version} serves.")
    if version in left_versions(context.instance, "local_endpoint"):
        return dg.SkipReason(f"The local endpoint was rolled back from model {version}: a person decides.")
    run_key = version
    if platform.model.retraining.promotion == "approval":
        approved = latest_version_of(context.instance, "approved_model")
        if approved is None or approved.version != version:
            return dg.SkipReason(f"Model {version} waits for approval: materialise approved_model with a reason.")
        run_key = f"{version}:{approved.run_id}"
    tags = {PROMOTION_TAG: version, RETRAINING_TAG: _tags(context.instance, challenger)[RETRAINING_TAG]}
    return dg.RunRequest(run_key=run_key, tags=tags, run_config=_deploys(context, version))


def _deploys(context: dg.SensorEvaluationContext, version: str) -> dict[str, Any]:
    """The configuration of the job `promotion` that deploys one version to each of its endpoints."""
    assert context.repository_def is not None
    endpoints = context.repository_def.get_job("promotion").asset_layer.selected_asset_keys
    return {"ops": {key.to_user_string(): {"config": {"model_version": version}} for key in endpoints}}


@dg.sensor(
    jobs=ROLLBACK_JOBS,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Rolls an endpoint back to its last healthy version when its canary fails within `retraining.rollback_hours` "
        "after the sensor `promotion` deployed to it. Only where `retraining.rollback` in model_config.yaml is "
        "automatic. Needs the schedule smoke_checks, which sends the canaries."
    ),
)
def automatic_rollback(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
    settings = platform.model.retraining
    if settings.rollback != "automatic":
        return dg.SkipReason("retraining.rollback in model_config.yaml is manual: a person rolls back.")
    since = time.time() - settings.rollback_hours * _HOUR_SECONDS
    requests = [request for key in ENDPOINT_KEYS if (request := _rollback(context.instance, key, since)) is not None]
    if not requests:
        return dg.SkipReason("No endpoint that was promoted lately fails its canary.")
    return dg.SensorResult(run_requests=requests)


def _rollback(instance: dg.DagsterInstance, key: str, since: float) -> dg.RunRequest | None:
    """A rollback of one endpoint, if a version that was promoted since then fails its canary."""
    asset = f"{key}_endpoint"
    deployed = latest_version_of(instance, asset)
    if deployed is None or deployed.at < since or PROMOTION_TAG not in _tags(instance, deployed):
        return None
    failure = _failed_canary(instance, asset, deployed.at)
    if failure is None:
        return None
    reason = f"The canary failed after the promotion of model {deployed.version}: {failure}"
    return dg.RunRequest(
        run_key=f"{asset}:{deployed.version}:{deployed.run_id}",
        job_name=f"rollback_{key}",
        run_config={"ops": {f"rollback_{asset}": {"config": {"reason": reason}}}},
    )


def _failed_canary(instance: dg.DagsterInstance, asset: str, since: float) -> str | None:
    """What the latest canary of a run said if it failed after that time; a posted one neither rolls back nor hides."""
    for event, evaluation in evaluations(instance, dg.AssetCheckKey(dg.AssetKey(asset), "canary_passes")):
        if event.timestamp <= since:
            return None
        if step_ended(instance, event.run_id, event.dagster_event and event.dagster_event.step_key):
            return None if evaluation.passed else " ".join((evaluation.description or "no detail").split())
    return None


def _tags(instance: dg.DagsterInstance, materialized: Materialized) -> Mapping[str, str]:
    run = instance.get_run_by_id(materialized.run_id)
    return run.tags if run else {}
