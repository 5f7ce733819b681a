"""Endpoints: where a model version serves predictions. Each one checks the gate itself, whether it is materialised by
hand, by a schedule, by a sensor or in a backfill.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from bridge_assets.deployment.targets import REMOTE_TARGETS, TargetEntry
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.gate import overrides
from bridge_assets.orchestration.gate.alarms import alarm_objections
from bridge_assets.orchestration.gate.check_history import gate_decision
from bridge_assets.orchestration.gate.deployment_records import record_deployment
from bridge_assets.orchestration.gate.rollbacks import objections
from bridge_assets.orchestration.metadata import display, freshness
from bridge_assets.orchestration.model_chain import upstream_version
from bridge_assets.orchestration.resources import Platform
from bridge_assets.orchestration.tags import PROMOTION_TAG, TARGET
from bridge_assets.registry.model_version import MANIFEST, ModelVersion, get_version

if TYPE_CHECKING:
    from bridge_assets.deployment.core.target import Deployment


class EndpointConfig(dg.Config):
    """What to deploy."""

    model_version: str = Field(
        default="",
        description=(
            "Name of a model version; empty = the version registered in this run, otherwise the latest one. The gate "
            "decides either way."
        ),
    )
    override_reason: str = Field(
        default="",
        description=(
            "Reason for deploying although the gate is closed (at least ten characters). The reason is stored in the "
            "metadata and as a tag of the run. Empty = a closed gate fails this asset and names the check."
        ),
    )


@dg.asset(
    deps=["registered_model"],
    group_name=groups.ENDPOINTS,
    owners=display.MODEL_OWNERS,
    kinds={"model", "onnx"},
    freshness_policy=freshness.YEARLY_RESULTS,
    description=(
        "The model version that serves predictions on this machine: `bridge-assets predict 01-123`. Promoted by an "
        "atomic swap, after the gate has opened for exactly this version and a canary has reproduced the predictions "
        "of the exported model. Tables of the structures are packed with it, for requests with a structure key or a "
        "raw NBI record: run it again after a new survey year. The previous version is kept for "
        "`bridge-assets rollback`. "
        f"{freshness.RESULT_IS_STALE}"
    ),
)
def local_endpoint(
    context: dg.AssetExecutionContext, config: EndpointConfig, platform: Platform
) -> dg.MaterializeResult:
    from bridge_assets.deployment.core.structure_tables import pack_structure_tables
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.registry.register import prepare_promotion

    endpoint = LocalEndpoint(platform.data.endpoint_folder)

    def deploy(version: ModelVersion, judged: Mapping[str, str]) -> "Deployment":
        files = {name: sha256 for name, sha256 in judged.items() if name != MANIFEST}
        registry, home = platform.registry, platform.data.home_folder
        promote = prepare_promotion(version.version, files, registry, home, platform.model.name)
        tables = partial(pack_structure_tables, platform.lake, platform.data.models_folder, platform.model.survival)
        return endpoint.deploy(version, judged, on_switched=promote, tables=tables)

    with user_errors_as_failures():
        model_version, metadata = _deploy_through_gate(context, config, platform, deploy)
    metadata["address"] = display.path_metadata(platform.data.endpoint_folder / "current")
    metadata |= display.dashboard_metadata(platform.dashboard, "endpoints")
    return dg.MaterializeResult(data_version=dg.DataVersion(model_version.version), metadata=metadata)


def _remote_endpoint_asset(target: TargetEntry) -> dg.AssetsDefinition:
    @dg.asset(
        name=target.asset,
        deps=["registered_model"],
        group_name=groups.ENDPOINTS,
        owners=display.MODEL_OWNERS,
        kinds={"model", "onnx", target.kind},
        tags={TARGET: target.key},
        description=(
            f"The model version that serves predictions on {target.title}, configured in the section `{target.key}` of "
            f"configs/environment.yaml. Deployed only if the gate is open for exactly this version. {target.rollout} "
            f"If anything fails, the previous version keeps serving. The job `rollback_{target.key}` returns to it."
        ),
    )
    def endpoint(context: dg.AssetExecutionContext, config: EndpointConfig, platform: Platform) -> dg.MaterializeResult:
        from bridge_assets.deployment.endpoints import open_remote_endpoint

        with user_errors_as_failures():
            remote = open_remote_endpoint(target.key, platform.environment, platform.data)
            model_version, metadata = _deploy_through_gate(context, config, platform, remote.deploy)
        metadata |= {"traffic": "100 %", "cost": remote.target.cost}
        if remote.target.console_url:
            metadata["page"] = dg.MetadataValue.url(remote.target.console_url)
        return dg.MaterializeResult(data_version=dg.DataVersion(model_version.version), metadata=metadata)

    return endpoint


remote_endpoints = [_remote_endpoint_asset(target) for target in REMOTE_TARGETS]


def _deploy_through_gate(
    context: dg.AssetExecutionContext,
    config: EndpointConfig,
    platform: Platform,
    deploy: Callable[[ModelVersion, Mapping[str, str]], "Deployment"],
) -> tuple[ModelVersion, dict[str, Any]]:
    """Deploy the requested version if the gate is open for it, or is overridden with a reason: exactly the bytes that
    the gate decided about. Returns the version and the metadata of the deployment.
    """
    from bridge_assets.deployment.gate.challenge import compare_again, current_champion
    from bridge_assets.deployment.gate.content import read_content
    from bridge_assets.deployment.gate.decision import GateClosedError, require_open_gate

    if config.model_version:
        model_version = get_version(platform.data.models_folder, config.model_version)
    else:
        model_version = upstream_version(context, platform, "registered_model")
    registry, home, settings = platform.registry, platform.data.home_folder, platform.model
    champion = current_champion(registry, home, settings.name)
    decision = gate_decision(context.instance, read_content(model_version), champion, settings.gate)
    decision = compare_again(decision, model_version, platform.lake, registry, home, settings, context.run.run_id)
    left = objections(context.instance, context.asset_key.to_user_string(), model_version.version)
    decision = replace(decision, objections=(*left, *alarm_objections(context.instance, model_version.version)))
    try:
        override = require_open_gate(decision, config.override_reason)
    except GateClosedError:
        record_deployment(context, home, decision, "refused")
        raise
    if override:
        overrides.record_override(
            context,
            f"deploying to {context.asset_key.to_user_string()}\n{decision.explain()}",
            override,
            platform.outbox,
            platform.environment.alerts,
        )
    deployment = deploy(model_version, decision.files)
    reason = override.reason if override else ""
    record_deployment(context, home, decision, "deployed", previous=deployment.previous or "", reason=reason)
    if PROMOTION_TAG in context.run.tags:
        overrides.record_promotion(
            context, deployment.version, deployment.previous or "", platform.outbox, platform.environment.alerts
        )
    if deployment.removed:
        context.log.info(f"Removed: {', '.join(deployment.removed)}")
    return model_version, {
        "model_version": deployment.version,
        "previous_version": deployment.previous or "",
        "address": deployment.address,
        "gate": "open" if decision.is_open else "overridden",
        "gate_findings": dg.MetadataValue.md(decision.markdown()),
        "override_reason": reason,
        "canary_rows": deployment.canary.rows,
        "canary_largest_difference": deployment.canary.largest_difference,
        "removed": ", ".join(deployment.removed),
    }
