"""The endpoint on Amazon SageMaker.

A slot is a model, an endpoint configuration and an archive in S3. They cost next to nothing and are kept while the slot
is in the deployment history. For its canary a slot gets an endpoint of its own, because SageMaker cannot invoke a
configuration without an endpoint, and serverless and asynchronous endpoints do not support a second variant. To move
the traffic, the endpoint is pointed at the slot's configuration, which SageMaker does blue/green.

Uses boto3 instead of the sagemaker SDK, whose import takes 7 to 26 s and brings mlflow, for the same requests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.tags import deployment_tags, history_from_tags
from bridge_assets.deployment.core.target import HISTORY_LIMIT, Deployment, TargetState, deploy, resolve_history
from bridge_assets.deployment.sagemaker.client import AwsClient
from bridge_assets.deployment.sagemaker.endpoints import Endpoints, WaitPolicy
from bridge_assets.deployment.sagemaker.plan import EndpointPlan, check_settings
from bridge_assets.deployment.sagemaker.resources import (
    CONFIG,
    CONFIG_DIGEST_TAG,
    ENDPOINT,
    MODEL,
    Resource,
    ResourceClient,
    ResourceKind,
)
from bridge_assets.errors import DeploymentError, OwnershipError, error_summary
from bridge_assets.file_lock import exclusive_lock
from bridge_assets.runtime.probe import Probe
from bridge_assets.settings import DataSettings
from bridge_assets.settings.environment import EnvironmentSettings, SageMakerSettings

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.registry.model_version import ModelVersion


@dataclass(frozen=True)
class SageMakerEndpoint:
    """A real-time, serverless or asynchronous endpoint. Created by `from_settings`.

    Attributes
    ----------
    settings : SageMakerSettings
        Complete: with region, role, image and bucket.
    owner : str
        Tag of every resource.
    lock_folder : Path
        Folder of the lock file.
    aws : AwsClient
    poll_seconds : float
        Pause between two polls of a running operation.
    lock_timeout : float
        Seconds to wait for another deployment from this machine.
    """

    settings: SageMakerSettings
    owner: str
    lock_folder: Path
    aws: AwsClient
    poll_seconds: float = 10.0
    lock_timeout: float = 30.0
    kind: str = field(default="sagemaker", init=False)

    @classmethod
    def from_settings(cls, environment: EnvironmentSettings, locks: Path) -> Self:
        """The endpoint that `environment.yaml` describes. Nothing is sent.

        Raises
        ------
        NotConfiguredError
            If a setting or the extra is missing, or two settings exclude each other; lists them.
        """
        region = environment.sagemaker.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        settings = environment.sagemaker.model_copy(update={"region": region or ""})
        check_settings(settings)
        return cls(settings, environment.owner, locks, AwsClient(settings.region))

    @property
    def address(self) -> str:
        runtime = self.aws.client("sagemaker-runtime").meta.endpoint_url
        invocations = "async-invocations" if self.settings.mode == "async" else "invocations"
        return f"{runtime}/endpoints/{self.settings.name}/{invocations}"

    @property
    def console_url(self) -> str:
        region = self.settings.region
        return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/endpoints/{self.settings.name}"

    @property
    def runtime_config(self) -> Mapping[str, Any]:
        # Without the alarms: they watch the next update of any slot.
        return self.settings.model_dump(exclude={"enabled", "name", "wait_minutes", "rollback_alarms"})

    @property
    def cost(self) -> str:
        settings = self.settings
        if settings.mode == "serverless":
            memory = f"{settings.serverless_memory_mb} MB serverless"
            return f"{memory}, billed per millisecond of prediction, free while idle"
        fleet = f"{settings.instances} x {settings.instance_type}"
        return f"{fleet}, billed per second while deployed; twice that during a deployment"

    @contextmanager
    def exclusive_lock(self, action: str) -> Iterator[None]:
        with exclusive_lock(
            self.lock_folder / f"{self.kind}-{self.settings.name}.lock", action, self.address, self.lock_timeout
        ):
            # A deployment from another machine, or an update that an interrupted one left, must end first.
            self._endpoints.find_idle(self.settings.name)
            yield

    def state(self) -> TargetState:
        history = self._history(self._live_endpoint())
        resources = set(self._slots(ENDPOINT, known=()))
        resources.update(*(self._slots(kind, known=history) for kind in (CONFIG, MODEL)))
        archive_urls = self._endpoints.objects.list_folder(self._plan.folder)
        resources.update({slot for url in archive_urls if (slot := self._plan.slot_of_archive(url))} - {*history})
        return TargetState(history, frozenset(resources))

    def provision(self, bundle: Bundle) -> None:
        slot, name = bundle.slot, self._plan.resource_name(bundle.slot)
        config_digest = self._plan.config_digest(slot)
        model, config = (self._resources.find(kind, name) for kind in (MODEL, CONFIG))
        canary_endpoint = self._endpoints.find_idle(name)
        self._endpoints.objects.put(self._plan.archive_url(slot), bundle.archive)
        if canary_endpoint and (canary_endpoint.status == "Failed" or canary_endpoint.config_digest != config_digest):
            self._endpoints.remove(canary_endpoint)
            canary_endpoint = None
        self._resources.ensure_exists(model, MODEL, name, config_digest, **self._plan.model(slot))
        self._resources.ensure_exists(config, CONFIG, name, config_digest, **self._plan.config(slot))
        if canary_endpoint is None:
            self._resources.create(ENDPOINT, name, {CONFIG_DIGEST_TAG: config_digest}, EndpointConfigName=name)
        self._endpoints.wait_in_service(name, name)

    def predict(self, probe: Probe, slot: str | None) -> np.ndarray:
        return self._predict(
            self.settings.name if slot is None else self._plan.resource_name(slot), probe.request_rows()
        )

    def invoke(self, rows: Sequence[Mapping[str, float | None]]) -> np.ndarray:
        """Get predictions from the endpoint.

        Parameters
        ----------
        rows : sequence of mapping
            Feature -> value in natural units; None or no key for a missing value.

        Returns
        -------
        np.ndarray, shape (n,)
            Probability of a fall.

        Raises
        ------
        DeploymentError
            If the endpoint does not respond, with the reason.
        """
        return self._predict(self.settings.name, rows)

    def switch_traffic(self, history: tuple[str, ...]) -> None:
        name, endpoint = self._plan.resource_name(history[-1]), self._endpoints.wait_until_idle(self._live_endpoint())
        # The canary's endpoint is removed before the traffic moves, so that an interruption cannot leave it behind, and
        # the account's quota of instances must hold only two fleets, not three.
        self._endpoints.remove(self._endpoints.find_idle(name))
        if endpoint and endpoint.status == "Failed":
            self._endpoints.remove(endpoint)  # a failed endpoint cannot be updated
            endpoint = None
        tags = deployment_tags(self.owner, history)
        if endpoint is None:
            self._resources.create(ENDPOINT, self.settings.name, tags, EndpointConfigName=name)
        elif endpoint.current_config != name:
            use_alarms = history[-1] not in self._history(endpoint)
            self._endpoints.update(self.settings.name, name, **self._plan.update_config(use_alarms))
        endpoint = self._endpoints.wait_in_service(self.settings.name, name)
        # After the traffic: if interrupted here, `resolve_history` still finds the current slot. Tags of dropped slots
        # get an empty value, because adding and deleting tags would be two requests.
        if history_from_tags(endpoint.tags) != history:
            self._resources.tag(endpoint, {**deployment_tags(self.owner, ("",) * HISTORY_LIMIT), **tags})

    def repair(self, bundle: Bundle) -> None:
        """Nothing to do: an endpoint whose deployment was deleted has no current slot, so it is deployed as a whole."""

    def retire(self, slot: str) -> list[str]:
        name, endpoint, removed = self._plan.resource_name(slot), self._live_endpoint(), []
        history = self._history(endpoint)
        if endpoint and name in endpoint.configs_in_use:
            if endpoint.is_busy or len(history) > 1:
                return []  # it is serving, or about to serve
            # The slot is the only one that the endpoint ever served, and it is wrong.
            removed, history = self._endpoints.remove(endpoint), ()
        removed += self._endpoints.remove(self._resources.find_owned(ENDPOINT, name))
        if slot in history:
            return removed
        for kind in (CONFIG, MODEL):
            if found := self._resources.find_owned(kind, name):
                self._resources.remove(found)
                removed.append(f"{kind.label} {name}")
        archive = self._plan.archive_url(slot)
        return [*removed, archive] if self._endpoints.objects.remove(archive) else removed

    def delete(self) -> tuple[str, ...]:
        """Remove the endpoint and every resource of ours that belongs to it; returns their names. Files that SageMaker
        wrote are kept: captured requests, and unread responses of an asynchronous endpoint.

        Raises
        ------
        DeploymentError
            If something cannot be removed. Deleting again resumes from there.
        """
        with self.exclusive_lock("deleting the endpoint"):
            removed = self._endpoints.remove(self._live_endpoint())
            for slot in sorted(self.state().resources):
                removed += self.retire(slot)
            async_inputs = self._endpoints.objects.list_folder(self._plan.async_inputs)  # of interrupted requests
            return (*removed, *filter(self._endpoints.objects.remove, async_inputs))

    @cached_property
    def _plan(self) -> EndpointPlan:
        return EndpointPlan(self.settings)

    @cached_property
    def _resources(self) -> ResourceClient:
        return ResourceClient(self.aws, self.owner)

    @cached_property
    def _endpoints(self) -> Endpoints:
        return Endpoints(self._resources, WaitPolicy(self.settings.wait_minutes * 60, self.poll_seconds))

    def _live_endpoint(self) -> Resource | None:
        endpoint = self._resources.find(ENDPOINT, self.settings.name)
        if endpoint and self._plan.slot_of_name(endpoint.current_config) is None:
            raise OwnershipError(
                f"the endpoint {endpoint.name} was not deployed by bridge_assets",
                where=self.address,
                why=f"Its configuration is {endpoint.current_config}",
                do="choose another name in configs/environment.yaml, or remove the endpoint. It was not touched",
            )
        return endpoint

    def _history(self, endpoint: Resource | None) -> tuple[str, ...]:
        if endpoint is None or not endpoint.is_serving:
            return ()
        return resolve_history(self._plan.slot_of_name(endpoint.current_config), history_from_tags(endpoint.tags))

    def _slots(self, kind: ResourceKind, known: Sequence[str]) -> Iterator[str]:
        """Slots with a resource of ours, except those already known."""
        for name, arn in self._resources.list_names(kind, containing=f"{self.settings.name}-m"):
            slot = self._plan.slot_of_name(name)
            if slot and slot not in known and self._resources.is_owned(arn):
                yield slot

    def _predict(self, endpoint: str, rows: Sequence[Mapping[str, float | None]]) -> np.ndarray:
        import numpy as np

        body = json.dumps({"instances": list(rows)}).encode()
        if self.settings.mode == "async":
            answer = self._endpoints.invoke_async(endpoint, body, self._plan.async_inputs)
        else:
            answer = self._endpoints.invoke(endpoint, body)
        try:
            return np.asarray(json.loads(answer)["predictions"], dtype=np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise DeploymentError(
                "the response contains no predictions",
                where=f"endpoint {endpoint}",
                why=error_summary(error),
                do="check that the image is built from the Dockerfile",
            ) from error


def deploy_model_sagemaker(model: ModelVersion | Bundle | Path | str, name: str, instance_type: str) -> Deployment:
    """Deploy a model version to SageMaker. Region, role, image, bucket and mode come from `configs/environment.yaml`.

    The caller is responsible for checking the gate.

    Parameters
    ----------
    model : ModelVersion, Bundle, or Path or str
        A model version, its bundle, or its folder.
    name : str
        Name of the endpoint: 3 to 32 lower-case letters, digits and dashes.
    instance_type : str
        Such as `ml.m5.large`; not used for a serverless endpoint.

    Raises
    ------
    NotConfiguredError
        If a setting or the extra is missing.
    DeploymentError
        If the deployment failed. The previous version keeps serving.
    """
    environment = EnvironmentSettings.load()
    settings = {**environment.sagemaker.model_dump(), "name": name, "instance_type": instance_type}
    environment = environment.model_copy(update={"sagemaker": SageMakerSettings.model_validate(settings)})
    target = SageMakerEndpoint.from_settings(environment, DataSettings.load().home_folder / "endpoints")
    return deploy(target, model if isinstance(model, Bundle) else bundle_of(model))
