"""An endpoint of Google Vertex AI.

    endpoint <name>            receives the requests; a slot is a deployed model there, with the slot as display name
    endpoint <name>-<slot>     staging endpoint, on a machine of its own, only while the slot's canary runs
    model <name>               in the model registry; a slot is a version of it, with the slot as alias
    gs://.../<name>/<slot>/    the bundle

A request names an endpoint, never a deployed model, so a model without traffic cannot be tested. That is why a slot is
deployed twice: at the endpoint without traffic, and at a staging endpoint for its canary. (Custom containers cannot
share a machine between both in a DeploymentResourcePool; a rolling deployment moves the traffic without a canary;
`invoke`, which can address a deployed model, is a preview and disables `predict`.)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.in_progress import fail_if_in_progress
from bridge_assets.deployment.core.required_settings import SETTINGS_FILE, check_configured, environment_variable
from bridge_assets.deployment.core.target import Deployment, TargetState, deploy
from bridge_assets.deployment.vertexai.client import GoogleCloud, WaitPolicy
from bridge_assets.deployment.vertexai.endpoints import Endpoints
from bridge_assets.deployment.vertexai.errors import translate_errors
from bridge_assets.deployment.vertexai.model_registry import Archives, VertexModelRegistry
from bridge_assets.errors import DeploymentError, NotConfiguredError
from bridge_assets.file_lock import exclusive_lock
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.probe import Probe
from bridge_assets.settings import DataSettings
from bridge_assets.settings.environment import EnvironmentSettings, VertexAISettings

if TYPE_CHECKING:
    import numpy as np
    from google.cloud.aiplatform_v1 import PredictRequest


def deploy_model_vertexai(model: ModelVersion | Path | str | Bundle, name: str, machine_type: str) -> Deployment:
    """Deploy a model version to Vertex AI. The caller is responsible for checking the gate.

    Parameters
    ----------
    model : ModelVersion, Path or str, or Bundle
        A model version, its folder, or its bundle.
    name : str
        Name of the endpoint.
    machine_type : str
        Such as `n1-standard-2`. Everything else comes from `configs/environment.yaml`.

    Raises
    ------
    NotConfiguredError
        If a setting, the extra or credentials are missing. Nothing was sent.
    DeploymentError
        If the deployment failed. The previous version keeps serving.
    """
    environment = EnvironmentSettings.load()
    settings = {**environment.vertexai.model_dump(), "name": name, "machine_type": machine_type}
    environment = environment.model_copy(update={"vertexai": VertexAISettings.model_validate(settings)})
    target = VertexAIEndpoint.from_settings(environment, DataSettings.load().home_folder / "endpoints")
    return deploy(target, model if isinstance(model, Bundle) else bundle_of(model))


@dataclass(frozen=True)
class VertexAIEndpoint:
    """An endpoint of Vertex AI. See `core.target.Target`.

    Attributes
    ----------
    settings : VertexAISettings
    owner : str
    lock_folder : Path
        Folder of the lock file.
    cloud : GoogleCloud
    lock_timeout : float
        Seconds to wait for another deployment on this machine to end.
    """

    settings: VertexAISettings
    owner: str
    lock_folder: Path
    cloud: GoogleCloud
    lock_timeout: float = 30.0
    kind: str = field(default="vertexai", init=False)

    @classmethod
    def from_settings(cls, environment: EnvironmentSettings, lock_folder: Path) -> Self:
        """The endpoint that `environment.yaml` describes. Nothing is sent.

        Raises
        ------
        NotConfiguredError
            Names the variables of the settings that are missing, and the extra.
        """
        settings = environment.vertexai
        project = settings.project or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        needed = {"project": project, "image": settings.image, "bucket": settings.bucket}
        libraries = "google.cloud.aiplatform_v1", "google.cloud.storage"
        check_configured("vertexai", needed, "gcp", *libraries, alternatives={"project": "GOOGLE_CLOUD_PROJECT"})
        if not settings.bucket.startswith("gs://"):
            raise NotConfiguredError(
                "the bucket is not a Cloud Storage URL",
                where=f"{SETTINGS_FILE}, vertexai",
                why=f"{environment_variable('vertexai', 'bucket')} is {settings.bucket!r}",
                do="set it to gs://bucket/folder",
            )
        wait_policy = WaitPolicy(operation_seconds=60 * settings.wait_minutes)
        cloud = GoogleCloud(project, settings.location, wait_policy, api_endpoint=settings.api_endpoint)
        return cls(settings, environment.owner, lock_folder, cloud)

    @property
    def address(self) -> str:
        return f"https://{self.cloud.host}/v1/{self._endpoints.resource_name(self.settings.name)}:predict"

    @property
    def console_url(self) -> str:
        where = f"locations/{self.cloud.location}/endpoints/{self.settings.name}"
        return f"https://console.cloud.google.com/vertex-ai/{where}?project={self.cloud.project}"

    @property
    def runtime_config(self) -> Mapping[str, Any]:
        return self.settings.model_dump(
            include={"image", "machine_type", "min_replicas", "max_replicas", "service_account"}
        )

    @property
    def cost(self) -> str:
        min_replicas, max_replicas = self.settings.min_replicas, self.settings.max_replicas
        replicas = f"{min_replicas}" if min_replicas == max_replicas else f"{min_replicas} to {max_replicas}"
        machines = f"{replicas} x {self.settings.machine_type}"
        return f"{machines}, billed while deployed; twice that and one more during a deployment"

    @contextmanager
    def exclusive_lock(self, action: str) -> Iterator[None]:
        with exclusive_lock(
            self.lock_folder / f"{self.kind}-{self.settings.name}.lock", action, self.address, self.lock_timeout
        ):
            with translate_errors("listing operations in progress", self.address):
                operations = self._endpoints.pending_operations(self._endpoints.staged_slots())
            fail_if_in_progress(operations, action, self.address)
            yield

    def state(self) -> TargetState:
        with translate_errors("reading the endpoint", self.address):
            history = self._endpoints.history()
            registered_slots = self._registry.slots() | self._archives.slots()
            resources = self._endpoints.deployed_slots() | self._endpoints.staged_slots()
            return TargetState(history, frozenset(resources | (registered_slots - set(history))))

    def provision(self, bundle: Bundle) -> None:
        endpoints, settings = self._endpoints, self.settings
        model: dict[str, Any] = {
            "model": f"{self._registry.resource_name}@{bundle.slot}",
            "service_account": settings.service_account,
            "dedicated_resources": {"machine_spec": {"machine_type": settings.machine_type}},
        }
        with translate_errors(f"creating slot {bundle.slot}", self.address):
            endpoints.get(endpoints.staging_id(bundle.slot))  # checks its owner before anything is created
            self._archives.upload(bundle.slot, bundle.archive, bundle.digest)
            versions = self._registry.register(bundle, settings.image, endpoints.labels)
            endpoints.ensure_exists(settings.name)
            endpoints.ensure_exists(endpoints.staging_id(bundle.slot))
            endpoints.deploy(bundle.slot, versions, model, settings.min_replicas, settings.max_replicas)

    def predict(self, probe: Probe, slot: str | None) -> np.ndarray:
        import numpy as np
        from google.cloud.aiplatform_v1 import PredictRequest
        from google.protobuf import json_format, struct_pb2

        path = self._endpoints.resource_name(self._endpoints.staging_id(slot) if slot else self.settings.name)
        request = PredictRequest(endpoint=path)
        request.instances.extend(json_format.ParseDict(row, struct_pb2.Value()) for row in probe.request_rows())
        with translate_errors("sending the canary", path):
            answers = self._predict_when_switched(request)
        try:
            return np.asarray(answers, dtype=np.float64)
        except (TypeError, ValueError) as error:
            do = "check that the image is built from the Dockerfile"
            raise DeploymentError("the response contains no predictions", where=path, why=str(error), do=do) from error

    def switch_traffic(self, history: tuple[str, ...]) -> None:
        with translate_errors(f"switching the traffic to slot {history[-1]}", self.address):
            # These first: once the slot has the traffic, a repeated deployment does not look for unfinished steps.
            self._endpoints.delete(self._endpoints.staging_id(history[-1]))
            self._registry.make_default(history[-1])
            self._endpoints.switch_traffic(history)

    def repair(self, bundle: Bundle) -> None:
        """Nothing to do: an endpoint whose deployment was deleted has no current slot, so it is deployed as a whole."""

    def retire(self, slot: str) -> Iterable[str]:
        with translate_errors(f"removing slot {slot}", self.address):
            removed, history = self._endpoints.remove_slot(slot), self._endpoints.history()
            if history:
                self._registry.make_default(history[-1])
            return removed if slot in history else removed + self._delete_records(slot)

    def delete(self) -> list[str]:
        """Remove the endpoint, the versions of its model and their archives; returns their names.

        Raises
        ------
        OwnershipError
            If the name belongs to somebody else. Nothing was touched.
        """
        with self.exclusive_lock("deleting the endpoint"):
            state, removed = self.state(), []
            with translate_errors("deleting the endpoint", self.address):
                # The slot with the traffic last: it can be undeployed only when no other slot is deployed.
                for slot in sorted(state.resources | {*state.history}, key=lambda slot: slot == state.current_slot):
                    removed += self._endpoints.remove_slot(slot) + self._delete_records(slot)
                return removed + self._endpoints.delete(self.settings.name)

    def _predict_when_switched(self, request: PredictRequest) -> list[Any]:
        """Predictions of a model that the traffic split names: a change of the split takes effect with a delay."""
        deadline = time.monotonic() + self.cloud.wait_policy.traffic_seconds
        while True:
            split = self.cloud.call(self.cloud.endpoints.get_endpoint, {"name": request.endpoint}).traffic_split
            answer = self.cloud.call(self.cloud.predictions.predict, request)
            if split.get(answer.deployed_model_id):
                return list(answer.predictions)
            if time.monotonic() >= deadline:
                raise DeploymentError(
                    "the traffic does not follow the split",
                    where=request.endpoint,
                    why=f"Deployed model {answer.deployed_model_id} responds, but the split is {dict(split)}",
                    do="deploy again",
                )
            time.sleep(self.cloud.wait_policy.poll_seconds)

    def _delete_records(self, slot: str) -> list[str]:
        return self._registry.remove(slot) + self._archives.remove(slot)

    @property
    def _endpoints(self) -> Endpoints:
        return Endpoints(self.cloud, self.owner, self.settings.name)

    @property
    def _archives(self) -> Archives:
        return Archives(self.cloud, self.owner, f"{self.settings.bucket.rstrip('/')}/{self.settings.name}")

    @property
    def _registry(self) -> VertexModelRegistry:
        return VertexModelRegistry(self.cloud, self.owner, self.settings.name, self._archives)
