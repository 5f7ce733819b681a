"""Somewhere a model version answers predictions. An endpoint asks the gate itself: by hand, by schedule, by a sensor or
in a backfill.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg
from pydantic import Field

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.gate import overrides
from bridge_assets.orchestration.gate.check_history import gate_decision
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.model_chain import upstream_version
from bridge_assets.orchestration.resources import Platform
from bridge_assets.orchestration.tags import TARGET
from bridge_assets.registry.model_version import ModelVersion, get_version

if TYPE_CHECKING:
    from bridge_assets.deployment.core.target import Deployment


class EndpointConfig(dg.Config):
    """What to deploy."""

    model_version: str = Field(
        default="",
        description=(
            "A model version by name; empty = the one registered in this run, else last. The gate decides either way."
        ),
    )
    override_reason: str = Field(
        default="",
        description=(
            "Deploy although the gate is closed, and why: at least ten characters. The reason is kept in the metadata "
            "and as a tag of the run. Empty = a closed gate fails this asset and names the check."
        ),
    )


class Endpoint(Protocol):
    """What takes a model version: `LocalEndpoint`, or a `RemoteEndpoint`."""

    def deploy(self, model_version: ModelVersion) -> "Deployment": ...


@dataclass(frozen=True)
class Provider:
    """How a target is shown in the graph; the key names its section of environment.yaml and its module."""

    key: str
    title: str
    kind: str
    rollout_description: str

    @property
    def asset(self) -> str:
        return f"{self.key}_endpoint"


PROVIDERS = (
    Provider(
        "sagemaker",
        "Amazon SageMaker",
        "sagemaker",
        "The canary is sent to a staging endpoint; then the endpoint is updated blue/green, and goes back by itself "
        "where one of the configured alarms sounds.",
    ),
    Provider(
        "azureml",
        "Azure Machine Learning",
        "azureml",
        "A deployment without traffic is put beside the one that answers and asked by name; then all the traffic moves "
        "to it.",
    ),
    Provider(
        "vertexai",
        "Google Vertex AI",
        "gcp",
        "The canary is sent to a staging endpoint; then the version is deployed beside the one that answers, and all "
        "the traffic moves to it.",
    ),
    Provider(
        "kubernetes",
        "Kubernetes",
        "kubernetes",
        "A canary pod is asked first; then the manifests in configs/k8s are applied and the pods are replaced one by "
        "one, never below capacity.",
    ),
)


@dg.asset(
    deps=["registered_model"],
    group_name=groups.ENDPOINTS,
    owners=display.MODEL_OWNERS,
    kinds={"model", "onnx"},
    description=(
        "The model version that answers predictions on this machine: `bridge-assets predict 01-123`. Taken by an "
        "atomic swap, after the gate opened for exactly this version and a canary gave the artifact's own answers. "
        "The previous version stays for `bridge-assets rollback`."
    ),
)
def local_endpoint(
    context: dg.AssetExecutionContext, config: EndpointConfig, platform: Platform
) -> dg.MaterializeResult:
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.registry.register import promote

    with user_errors_as_failures():
        endpoint = LocalEndpoint(platform.data.endpoint_folder)
        model_version, metadata = _deploy_through_gate(context, config, platform, endpoint)
        promote(model_version, platform.registry, platform.data.home_folder, platform.model.name)
    metadata["address"] = display.path_metadata(platform.data.endpoint_folder / "current")
    return dg.MaterializeResult(data_version=dg.DataVersion(model_version.version), metadata=metadata)


def _remote_endpoint_asset(provider: Provider) -> dg.AssetsDefinition:
    @dg.asset(
        name=provider.asset,
        deps=["registered_model"],
        group_name=groups.ENDPOINTS,
        owners=display.MODEL_OWNERS,
        kinds={"model", "onnx", provider.kind},
        tags={TARGET: provider.key},
        description=(
            f"The model version that answers predictions on {provider.title}, as the section `{provider.key}` of "
            f"configs/environment.yaml says. The gate is asked about exactly this version. "
            f"{provider.rollout_description} On any "
            f"failure what answered goes on answering. Job `rollback_{provider.key}` goes back."
        ),
    )
    def endpoint(context: dg.AssetExecutionContext, config: EndpointConfig, platform: Platform) -> dg.MaterializeResult:
        from bridge_assets.deployment.endpoints import open_remote_endpoint

        with user_errors_as_failures():
            remote = open_remote_endpoint(provider.key, platform.environment, platform.data)
            model_version, metadata = _deploy_through_gate(context, config, platform, remote)
        target = remote.target
        metadata |= {"traffic": "100 %", "cost": target.cost}
        if target.console_url:
            metadata["page"] = dg.MetadataValue.url(target.console_url)
        return dg.MaterializeResult(data_version=dg.DataVersion(model_version.version), metadata=metadata)

    return endpoint


sagemaker_endpoint, azureml_endpoint, vertexai_endpoint, kubernetes_endpoint = map(_remote_endpoint_asset, PROVIDERS)


def _deploy_through_gate(
    context: dg.AssetExecutionContext, config: EndpointConfig, platform: Platform, endpoint: Endpoint
) -> tuple[ModelVersion, dict[str, Any]]:
    """Deploy the version that is asked for, if the gate is open for it or is overridden with a reason; say what was
    done, as metadata.
    """
    from bridge_assets.deployment.gate.decision import require_open_gate

    if config.model_version:
        model_version = get_version(platform.data.models_folder, config.model_version)
    else:
        model_version = upstream_version(context, platform, "registered_model")
    decision = gate_decision(context.instance, model_version)
    override = require_open_gate(decision, config.override_reason)
    if override:
        overrides.record_override(
            context, f"deploying to {context.asset_key.to_user_string()}\n{decision.explain()}", override
        )
    deployment = endpoint.deploy(model_version)
    if deployment.removed:
        context.log.info(f"Removed: {', '.join(deployment.removed)}")
    return model_version, {
        "model_version": deployment.version,
        "previous_version": deployment.previous or "",
        "address": deployment.address,
        "gate": "open" if decision.is_open else "overridden",
        "gate_findings": dg.MetadataValue.md(decision.markdown()),
        "override_reason": override.reason if override else "",
        "canary_rows": deployment.canary.rows,
        "canary_largest_difference": deployment.canary.largest_difference,
        "removed": ", ".join(deployment.removed),
    }
