"""Names and request bodies for SageMaker, from the settings alone: model, endpoint configuration, update policy.

Does not belong here: sending them (`resources`, `endpoints`) and the steps of a deployment (`target`).
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

#: The same in every configuration, as a blue/green update requires.
VARIANT = "AllTraffic"

#: With alarms, in seconds: how long one instance of the new fleet takes its share of the traffic, and how long the old
#: fleet stays after all traffic has moved. A choice: five periods of an alarm that is evaluated once a minute.
BAKE_SECONDS = 300

#: Allowed range of UpdateEndpoint's MaximumExecutionTimeoutInSeconds.
_MIN_EXECUTION_SECONDS, _MAX_EXECUTION_SECONDS = 600, 28_800


@dataclass(frozen=True)
class EndpointPlan:
    """Names and request bodies for one endpoint.

    Attributes
    ----------
    settings : SageMakerSettings
        Complete: see `check_settings`.
    """

    settings: SageMakerSettings

    @property
    def folder(self) -> str:
        """Folder in S3 of everything that belongs to the endpoint."""
        return f"{self.settings.bucket.rstrip('/')}/{self.settings.name}"

    @property
    def async_inputs(self) -> str:
        """Folder in S3 of the requests to an asynchronous endpoint."""
        return f"{self.folder}/asked"

    def archive_url(self, slot: str) -> str:
        return f"{self.folder}/{slot}.tar.gz"

    def resource_name(self, slot: str) -> str:
        """Name of a slot's model, configuration and canary endpoint: at most 32 + 1 + 30 of 63 allowed characters."""
        return f"{self.settings.name}-{slot}"

    def slot_of_name(self, name: str) -> str | None:
        """The slot in a name that `resource_name` made; None for any other name."""
        found = re.fullmatch(rf"{re.escape(self.settings.name)}-({SLOT.pattern})", name)
        return found and found[1]

    def slot_of_archive(self, url: str) -> str | None:
        found = re.fullmatch(rf"{re.escape(self.folder)}/({SLOT.pattern})\.tar\.gz", url)
        return found and found[1]

    def config_digest(self, slot: str) -> str:
        """12 hex digits over the request bodies of a slot, to detect resources made from other settings."""
        return json_digest([self.model(slot), self.config(slot)])[:12]

    def model(self, slot: str) -> dict[str, Any]:
        """Body of CreateModel."""
        container = {
            "Image": self.settings.image,
            "ModelDataUrl": self.archive_url(slot),  # unpacked to /opt/ml/model
            "Environment": {"BRIDGE_ASSETS_SLOT": slot},  # the container rejects any other content
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
        """How UpdateEndpoint moves the traffic.

        Parameters
        ----------
        use_alarms : bool
            Whether alarms may roll the update back. Not for a rollback from a bad version: the alarms that it raised
            would restore it.
        """
        if self.settings.mode == "serverless":
            return {}  # does not support DeploymentConfig; all traffic moves at once
        seconds = self.settings.wait_minutes * 60
        alarms = self.settings.rollback_alarms if use_alarms else ()
        bake = int(min(BAKE_SECONDS, seconds / 4)) if alarms else 0
        routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": bake}
        if alarms and self.settings.instances > 1:  # a canary may be at most half of the fleet
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
    """Refuse settings that cannot be deployed.

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
        raise NotConfiguredError("the bucket is not an S3 URL", where=where, why=why, do="set it to s3://bucket/folder")
    if settings.mode == "serverless":
        for name in ("capture_percent", "rollback_alarms"):
            if getattr(settings, name):
                raise NotConfiguredError(
                    f"a serverless endpoint does not support {name}",
                    where=where,
                    why=f"Only realtime and async endpoints do, but {environment_variable('sagemaker', name)} is set",
                    do=f"unset it, or set {environment_variable('sagemaker', 'mode')} to realtime",
                )
