"""The job that acknowledges what the watch found, so that models that were trained before may be deployed again."""

import dagster as dg
from pydantic import Field

from bridge_assets.deployment.gate.decision import MIN_REASON_LENGTH
from bridge_assets.errors import DeploymentError
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.gate.alarms import acknowledgement, alarms_of_asset
from bridge_assets.orchestration.gate.overrides import record_acknowledgement
from bridge_assets.orchestration.resources import Platform


class AcknowledgeConfig(dg.Config):
    """What is acknowledged, and why."""

    asset: str = Field(description="drift_report or realised_quality: the asset whose check closes the gate.")
    reason: str = Field(
        description=(
            f"Why models that were trained before may be deployed nevertheless, at least {MIN_REASON_LENGTH} "
            "characters. Stored with the asset and as a tag of the run, and sent to Slack."
        )
    )


@dg.op(out=dg.Out(dg.Nothing))
def acknowledge(context: dg.OpExecutionContext, config: AcknowledgeConfig, platform: Platform) -> None:
    reason = config.reason.strip()
    with user_errors_as_failures():
        alarms = alarms_of_asset(context.instance, config.asset)
        if len(reason) < MIN_REASON_LENGTH:
            raise DeploymentError(
                f"the reason {reason!r} is too short", do=f"say in at least {MIN_REASON_LENGTH} characters why"
            )
    described = "\n".join(f"{alarm.name}, survey year {alarm.survey_year}: {alarm.message}" for alarm in alarms)
    record_acknowledgement(context, described, reason, platform.outbox, platform.environment.alerts)
    for check in dict.fromkeys(alarm.check for alarm in alarms):
        context.log_event(
            dg.AssetObservation(
                config.asset,
                description=f"Acknowledged: {reason}",
                metadata={
                    **acknowledgement(config.asset, check, reason, context.run.run_id),
                    "alarms": described,
                },
            )
        )


@dg.job(
    name="acknowledge_alarm",
    description=(
        "Acknowledge, with a reason, that a check of drift_report or realised_quality fails: models that were trained "
        "before may be deployed again. A survey year that fails later closes the gate again."
    ),
)
def acknowledge_alarm() -> None:
    acknowledge()
