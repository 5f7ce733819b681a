"""What SageMaker is asked to make of a version, from the settings alone: model, configuration, and how to update.

Belongs here: names and request bodies. Does not belong here: sending them (`sagemaker_records`, `sagemaker_endpoints`)
and when (`sagemaker`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bridge_assets.deployment.core.bundle import SLOT
from bridge_assets.deployment.core.required_settings import SETTINGS_FILE, check_configured, environment_variable
from bridge_assets.errors import NotConfiguredError
from bridge_assets.settings.environment import SageMakerSettings
from bridge_assets.storage import json_digest

#: The same in every configuration: a blue/green update asks for it.
VARIANT = "AllTraffic"

#: While alarms watch: how long one instance of the new fleet takes its share of the traffic, and how long the old fleet
#: stays after all of it has moved. A choice: five periods of an alarm that looks once a minute.
BAKE_SECONDS = 300

#: What UpdateEndpoint takes for MaximumExecutionTimeoutInSeconds.
_MIN_EXECUTION_SECONDS, _MAX_EXECUTION_SECONDS = 600, 28_800


@dataclass(frozen=True)
class EndpointPlan:
    """Names and bodies for the endpoint of some settings.

    Attributes
    ----------
    settings : SageMakerSettings
        Complete: see `check`.
    """

    settings: SageMakerSettings

    @property
    def folder(self) -> str:
        """Where everything lies that is kept in S3."""
        return f"{self.settings.bucket.rstrip('/')}/{self.settings.name}"

    @property
    def async_inputs(self) -> str:
        """Where an asynchronous endpoint is asked."""
        return f"{self.folder}/asked"

    def archive_url(self, slot: str) -> str:
        return f"{self.folder}/{slot}.tar.gz"

    def resource_name(self, slot: str) -> str:
        """Of the model, the configuration and the canary's endpoint of a slot: at most 32 + 1 + 30 of 63 characters."""
        return f"{self.settings.name}-{slot}"

    def slot_of_name(self, name: str) -> str | None:
        """The slot in such a name; None in any other."""
        found = re.fullmatch(rf"{re.escape(self.settings.name)}-({SLOT.pattern})", name)
        return found and found[1]

    def slot_of_archive(self, url: str) -> str | None:
        found = re.fullmatch(rf"{re.escape(self.folder)}/({SLOT.pattern})\.tar\.gz", url)
        return found and found[1]

    def config_digest(self, slot: str) -> str:
        """12 hex digits that are others wherever one of a slot's resources is to be another."""
        return json_digest([self.model(slot), self.config(slot)])[:12]

    def model(self, slot: str) -> dict[str, Any]:
        """Body of CreateModel."""
        container = {
            "Image": self.settings.image,
            "ModelDataUrl": self.archive_url(slot),  # unpacked to /opt/ml/model
            "Environment": {"BRIDGE_ASSETS_SLOT": slot},  # the container refuses any other content
        }
        return {"ExecutionRoleArn": self.settings.role_arn, "PrimaryContainer": container}

    def config(self, slot: str) -> dict[str, Any]:
        """Body of CreateEndpointConfig."""
        settings = self.settings
        variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": self.resource_name(slot)}
        if settings.mode == "serverless":
            memory, max_concurrency = settings.serverless_memory_mb, settings.serverless_concurrency
            variant["ServerlessConfig"] = {"MemorySizeInMB": memory, "MaxConcurrency": max_concurrency}
        else:
            variant |= {"InstanceType": settings.instance_type, "InitialInstanceCount": settings.instances}
        config: dict[str, Any] = {"ProductionVariants": [variant]}
        if settings.capture_percent:
            config["DataCaptureConfig"] = {
                "EnableCapture": True,
                "InitialSamplingPercentage": settings.capture_percent,
                "DestinationS3Uri": f"{self.folder}/captured",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
            }
        if settings.mode == "async":
            output = {"S3OutputPath": f"{self.folder}/answers", "S3FailurePath": f"{self.folder}/failures"}
            config["AsyncInferenceConfig"] = {"OutputConfig": output}
        return config

    def update_config(self, use_alarms: bool) -> dict[str, Any]:
        """How UpdateEndpoint is to move the traffic.

        Parameters
        ----------
        use_alarms : bool
            Whether alarms may take it back. Not on the way back from a bad version: the alarms that it set off would
            bring it back again.
        """
        if self.settings.mode == "serverless":
            return {}  # takes no DeploymentConfig; it moves all at once
        seconds = self.settings.wait_minutes * 60
        alarms = self.settings.rollback_alarms if use_alarms else ()
        bake = int(min(BAKE_SECONDS, seconds / 4)) if alarms else 0
        routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": bake}
        if alarms and self.settings.instances > 1:  # a canary may be half of the fleet, not more
            routing |= {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}}
        policy = {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": bake,
            "MaximumExecutionTimeoutInSeconds": int(min(max(seconds, _MIN_EXECUTION_SECONDS), _MAX_EXECUTION_SECONDS)),
        }
        auto_rollback = (
            {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
        )
        return {"DeploymentConfig": {"BlueGreenUpdatePolicy": policy, **auto_rollback}}


def check_settings(settings: SageMakerSettings) -> None:
    """Refuse settings of which nothing can be made.

    Raises
    ------
    NotConfiguredError
        If a setting or boto3 is missing, or two settings exclude each other.
    """
    where = f"{SETTINGS_FILE}, sagemaker"
    needed = {name: getattr(settings, name) for name in ("region", "role_arn", "image", "bucket")}
    check_configured("sagemaker", needed, "aws", "boto3")
    if not re.fullmatch(r"s3://[^/]+(/.*)?", settings.bucket):
        why = f"{environment_variable('sagemaker', 'bucket')} is {settings.bucket!r}"
        raise NotConfiguredError("this is no place in S3", where=where, why=why, do="set it to s3://bucket/folder")
    if settings.mode == "serverless":
        for name in ("capture_percent", "rollback_alarms"):
            if getattr(settings, name):
                raise NotConfiguredError(
                    f"a serverless endpoint takes no {name}",
                    where=where,
                    why=f"only realtime and async endpoints have that, and {environment_variable('sagemaker', name)} "
                    f"is set",
                    do=f"leave it out, or set {environment_variable('sagemaker', 'mode')} to realtime",
                )
