"""A person's approval of a challenger: an asset, so that who approved what, when and why stands in the graph."""

import dagster as dg
from pydantic import Field

from bridge_assets.deployment.gate.decision import MIN_REASON_LENGTH
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.gate.check_history import gate_decision
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.model_chain import upstream_version
from bridge_assets.orchestration.resources import Platform
from bridge_assets.registry.model_version import get_version


class ApprovalConfig(dg.Config):
    """What is approved, and why."""

    model_version: str = Field(default="", description="Name of a registered version; empty = the latest one.")
    reason: str = Field(
        default="",
        description=f"Who looked at it, and why it may serve: at least {MIN_REASON_LENGTH} characters.",
    )


@dg.asset(
    deps=["registered_model"],
    group_name=groups.MODEL,
    owners=display.MODEL_OWNERS,
    kinds={"model"},
    description=(
        "The challenger that a person has approved, with the reason. Materialise it by hand after looking at the "
        "comparison with the champion in registered_model; no job does it. The sensor `promotion` then deploys exactly "
        "this version, if the gate is open for it. Not needed where `retraining.promotion` in model_config.yaml is "
        "automatic, or for a deployment by hand."
    ),
)
def approved_model(
    context: dg.AssetExecutionContext, config: ApprovalConfig, platform: Platform
) -> dg.MaterializeResult:
    from bridge_assets.deployment.gate.challenge import current_champion
    from bridge_assets.deployment.gate.content import read_content
    from bridge_assets.errors import DeploymentError

    reason, data = config.reason.strip(), platform.data
    with user_errors_as_failures():
        if config.model_version:
            version = get_version(data.models_folder, config.model_version)
        else:
            version = upstream_version(context, platform, "registered_model")
        if len(reason) < MIN_REASON_LENGTH:
            raise DeploymentError(
                f"model version {version.version} is not approved: the reason {reason!r} is too short",
                do=f"materialise approved_model with a reason of at least {MIN_REASON_LENGTH} characters",
            )
        champion = current_champion(platform.registry, data.home_folder, platform.model.name)
        decision = gate_decision(context.instance, read_content(version), champion, platform.model.gate)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version.version),
        metadata={
            "model_version": version.version,
            "reason": reason,
            "champion": champion,
            "gate": "open" if decision.is_open else "closed",
            "gate_findings": dg.MetadataValue.md(decision.markdown()),
        },
    )
