"""Somewhere a model version answers predictions. An endpoint asks the gate itself: by hand, by schedule, by a sensor or
in a backfill.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg
from pydantic import Field

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import explained
from bridge_assets.orchestration.gate import overrides
from bridge_assets.orchestration.gate.check_history import ask_gate
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.resources import Platform
from bridge_assets.registry.model_version import Candidate, latest, named

if TYPE_CHECKING:
    from bridge_assets.deployment.core.target import Deployment


class EndpointConfig(dg.Config):
    """What to deploy."""

    model_version: str = Field(
        default="",
        description="A model version by name; empty = the one trained last. The gate is asked about it either way.",
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

    def deploy(self, candidate: Candidate) -> "Deployment": ...


@dataclass(frozen=True)
class Provider:
    """How a target is shown in the graph; the key names its section of environment.yaml and its module."""

    key: str
    title: str
    kind: str
    how: str

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
    owners=display.OWNERS_OF_MODELS,
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

    with explained():
        endpoint = LocalEndpoint(platform.data.endpoint_folder)
        candidate, metadata = _through_the_gate(context, config, platform, endpoint)
        promote(candidate, platform.registry, platform.data.home_folder, platform.model.name)
    metadata["address"] = display.file(platform.data.endpoint_folder / "current")
    return dg.MaterializeResult(data_version=dg.DataVersion(candidate.version), metadata=metadata)


def _remote(provider: Provider) -> dg.AssetsDefinition:
    @dg.asset(
        name=provider.asset,
        deps=["registered_model"],
        group_name=groups.ENDPOINTS,
        owners=display.OWNERS_OF_MODELS,
        kinds={"model", "onnx", provider.kind},
        pool=provider.asset,
        description=(
            f"The model version that answers predictions on {provider.title}, as the section `{provider.key}` of "
            f"configs/environment.yaml says. The gate is asked about exactly this version. {provider.how} On any "
            f"failure what answered goes on answering. Job `rollback_{provider.key}` goes back."
        ),
    )
    def endpoint(context: dg.AssetExecutionContext, config: EndpointConfig, platform: Platform) -> dg.MaterializeResult:
        from bridge_assets.deployment.endpoints import open_remote

        with explained():
            remote = open_remote(provider.key, platform.environment, platform.data)
            candidate, metadata = _through_the_gate(context, config, platform, remote)
        target = remote.target
        metadata |= {"traffic": "100 %", "cost": target.cost}
        if target.page:
            metadata["page"] = dg.MetadataValue.url(target.page)
        return dg.MaterializeResult(data_version=dg.DataVersion(candidate.version), metadata=metadata)

    return endpoint


sagemaker_endpoint, azureml_endpoint, vertexai_endpoint, kubernetes_endpoint = map(_remote, PROVIDERS)


def _through_the_gate(
    context: dg.AssetExecutionContext, config: EndpointConfig, platform: Platform, endpoint: Endpoint
) -> tuple[Candidate, dict[str, Any]]:
    """Deploy the version that is asked for, if the gate is open for it or is overridden with a reason; say what was
    done, as metadata.
    """
    from bridge_assets.deployment.gate.decision import let_through

    models = platform.data.models_folder
    candidate = named(models, config.model_version) if config.model_version else latest(models)
    decision = ask_gate(context.instance, candidate)
    override = let_through(decision, config.override_reason)
    if override:
        overrides.record(context, f"deploying to {context.asset_key.to_user_string()}\n{decision.explain()}", override)
    deployment = endpoint.deploy(candidate)
    if deployment.removed:
        context.log.info(f"Removed: {', '.join(deployment.removed)}")
    return candidate, {
        "model_version": deployment.version,
        "previous_version": deployment.previous or "",
        "address": deployment.address,
        "gate": "open" if decision.open else "overridden",
        "gate_findings": dg.MetadataValue.md(decision.markdown()),
        "override_reason": override.reason if override else "",
        "canary_rows": deployment.canary.rows,
        "canary_largest_difference": deployment.canary.largest_difference,
        "removed": ", ".join(deployment.removed),
    }
