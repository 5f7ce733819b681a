"""Somewhere a model version answers predictions. The endpoint asks the gate itself: by hand, by schedule or in a
backfill.
"""

import dagster as dg
from pydantic import Field

from bridge_assets.models.candidate import latest, named
from bridge_assets.orchestration import display, groups
from bridge_assets.orchestration.evidence import ask_gate
from bridge_assets.orchestration.failures import explained
from bridge_assets.orchestration.resources import Platform

OVERRIDE_TAG = "bridge_assets/gate_override"


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
    from bridge_assets.deployment.gate import let_through
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.models.register import promote

    models = platform.data.models_folder
    with explained():
        candidate = named(models, config.model_version) if config.model_version else latest(models)
        decision = ask_gate(context.instance, candidate)
        let_through(decision, config.override_reason)
        if not decision.open:
            context.log.warning(
                f"The gate is closed and was overridden: {config.override_reason}\n{decision.explain()}"
            )
            context.instance.add_run_tags(context.run.run_id, {OVERRIDE_TAG: config.override_reason[:200]})
        deployment = LocalEndpoint(platform.data.endpoint_folder).deploy(candidate)
        promote(candidate, platform.registry, platform.data.home_folder, platform.model.name)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(candidate.version),
        metadata={
            "model_version": deployment.version,
            "previous_version": deployment.previous or "",
            "address": display.file(platform.data.endpoint_folder / "current"),
            "gate": "open" if decision.open else "overridden",
            "gate_findings": dg.MetadataValue.md(decision.markdown()),
            "override_reason": config.override_reason,
            "canary_rows": deployment.canary.rows,
            "canary_largest_difference": deployment.canary.largest_difference,
        },
    )
