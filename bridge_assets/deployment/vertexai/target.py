"""An endpoint of Google Vertex AI.

    endpoint <name>            the front door; a slot is a deployed model there, its display name is the slot
    endpoint <name>-<slot>     stands only while that slot is being asked its canary, on a machine of its own
    model <name>               the registry; a slot is a version there, with the slot as alias
    gs://.../<name>/<slot>/    the bundle

A request names an endpoint, never a deployed model, so that what has no traffic cannot be asked. That is why a slot is
deployed twice: at the front door without traffic, and on an endpoint of its own, which is asked. (Sharing a machine
between both, a DeploymentResourcePool, is not offered to custom containers; a rolling deployment moves the traffic
without asking; `invoke`, which would reach a deployed model by itself, is a preview and takes `predict` away.)
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
from bridge_assets.deployment.core.required_settings import FILE, check_configured, variable
from bridge_assets.deployment.core.target import Deployment, Standing, deploy
from bridge_assets.deployment.vertexai.client import GoogleCloud, Patience
from bridge_assets.deployment.vertexai.endpoints import Endpoints
from bridge_assets.deployment.vertexai.errors import explained
from bridge_assets.deployment.vertexai.model_registry import Archives, Registry
from bridge_assets.errors import DeploymentError, NotConfigured
from bridge_assets.registry.model_version import Candidate
from bridge_assets.runtime.file_lock import held, refuse_company
from bridge_assets.runtime.probe import Probe
from bridge_assets.settings import DataSettings
from bridge_assets.settings.environment import EnvironmentSettings, VertexAISettings

if TYPE_CHECKING:
    import numpy as np
    from google.cloud.aiplatform_v1 import PredictRequest


def deploy_model_vertexai(model: Candidate | Path | str | Bundle, name: str, machine_type: str) -> Deployment:
    """Deploy a model version on Vertex AI. The caller has asked the gate.

    Parameters
    ----------
    model : Candidate, Path or str, or Bundle
        A model version, its folder, or its bundle.
    name : str
        Of the endpoint.
    machine_type : str
        `n1-standard-2`. Everything else stands in `environment.yaml`.

    Raises
    ------
    DeploymentError
        See `base.deploy`. NotConfigured, before anything is sent, where a setting, the extra or credentials are
        missing.
    """
    environment = EnvironmentSettings.load()
    said = {**environment.vertexai.model_dump(), "name": name, "machine_type": machine_type}
    environment = environment.model_copy(update={"vertexai": VertexAISettings.model_validate(said)})
    target = VertexAIEndpoint.from_settings(environment, DataSettings.load().home_folder / "endpoints")
    return deploy(target, model if isinstance(model, Bundle) else bundle_of(model))


@dataclass(frozen=True)
class VertexAIEndpoint:
    """See `base.Target`.

    Attributes
    ----------
    settings : VertexAISettings
    owner : str
    locks : Path
        Folder of the lock file.
    cloud : GoogleCloud
    wait : float
        Seconds to wait for another deployment on this machine to end.
    """

    settings: VertexAISettings
    owner: str
    locks: Path
    cloud: GoogleCloud
    wait: float = 30.0
    kind: str = field(default="vertexai", init=False)

    @classmethod
    def from_settings(cls, environment: EnvironmentSettings, lock_folder: Path) -> Self:
        """The endpoint that `environment.yaml` describes. Nothing is sent.

        Raises
        ------
        NotConfigured
            Names the variables of the settings that are missing, and the extra.
        """
        settings = environment.vertexai
        project = settings.project or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        needed = {"project": project, "image": settings.image, "bucket": settings.bucket}
        libraries = "google.cloud.aiplatform_v1", "google.cloud.storage"
        check_configured("vertexai", needed, "gcp", *libraries, instead={"project": "GOOGLE_CLOUD_PROJECT"})
        if not settings.bucket.startswith("gs://"):
            raise NotConfigured(
                "this is no place in Cloud Storage",
                where=f"{FILE}, vertexai",
                why=f"{variable('vertexai', 'bucket')} is {settings.bucket!r}",
                do="set it to gs://bucket/folder",
            )
        patience = Patience(operation=60 * settings.wait_minutes)
        cloud = GoogleCloud(project, settings.location, patience, api_endpoint=settings.api_endpoint)
        return cls(settings, environment.owner, lock_folder, cloud)

    @property
    def address(self) -> str:
        return f"https://{self.cloud.host}/v1/{self._endpoints.path(self.settings.name)}:predict"

    @property
    def page(self) -> str:
        where = f"locations/{self.cloud.location}/endpoints/{self.settings.name}"
        return f"https://console.cloud.google.com/vertex-ai/{where}?project={self.cloud.project}"

    @property
    def terms(self) -> Mapping[str, Any]:
        return self.settings.model_dump(
            include={"image", "machine_type", "least_replicas", "most_replicas", "service_account"}
        )

    @property
    def cost(self) -> str:
        least, most = self.settings.least_replicas, self.settings.most_replicas
        machines = f"{least if least == most else f'{least} to {most}'} x {self.settings.machine_type}"
        return f"{machines}, billed while they stand; as many again and one more while a version is being deployed"

    @contextmanager
    def alone(self, doing: str) -> Iterator[None]:
        with held(self.locks / f"{self.kind}-{self.settings.name}.lock", doing, self.address, self.wait):
            with explained("asking what is under way", self.address):
                under_way = self._endpoints.pending(self._endpoints.staged())
            refuse_company(under_way, doing, self.address)
            yield

    def standing(self) -> Standing:
        with explained("asking what stands", self.address):
            trail = self._endpoints.trail()
            records = self._registry.slots() | self._archives.slots()
            placed = self._endpoints.deployed() | self._endpoints.staged()
            return Standing(trail, frozenset(placed | (records - set(trail))))

    def place(self, bundle: Bundle) -> None:
        endpoints, settings = self._endpoints, self.settings
        model: dict[str, Any] = {
            "model": f"{self._registry.path}@{bundle.slot}",
            "service_account": settings.service_account,
            "dedicated_resources": {"machine_spec": {"machine_type": settings.machine_type}},
        }
        with explained(f"placing slot {bundle.slot}", self.address):
            endpoints.get(endpoints.staging(bundle.slot))  # somebody else's is seen before anything is made
            self._archives.put(bundle.slot, bundle.archive, bundle.digest)
            versions = self._registry.put(bundle, settings.image, endpoints.labels)
            endpoints.open(settings.name)
            endpoints.open(endpoints.staging(bundle.slot))
            endpoints.deploy(bundle.slot, versions, model, settings.least_replicas, settings.most_replicas)

    def ask(self, probe: Probe, slot: str | None) -> np.ndarray:
        import numpy as np
        from google.cloud.aiplatform_v1 import PredictRequest
        from google.protobuf import json_format, struct_pb2

        path = self._endpoints.path(self._endpoints.staging(slot) if slot else self.settings.name)
        request = PredictRequest(endpoint=path)
        request.instances.extend(json_format.ParseDict(row, struct_pb2.Value()) for row in probe.instances())
        with explained("sending the canary", path):
            answers = self._predicted(request)
        try:
            return np.asarray(answers, dtype=np.float64)
        except (TypeError, ValueError) as error:
            do = "look at what is deployed there: it is no image of this library"
            raise DeploymentError("the answer is not one number a row", where=path, why=str(error), do=do) from error

    def shift(self, trail: tuple[str, ...]) -> None:
        with explained(f"giving the traffic to slot {trail[-1]}", self.address):
            # These first: once the slot answers, nobody looks for what else was to be done.
            self._endpoints.close(self._endpoints.staging(trail[-1]))
            self._registry.make_default(trail[-1])
            self._endpoints.move_traffic(trail)

    def retire(self, slot: str) -> Iterable[str]:
        with explained(f"removing slot {slot}", self.address):
            removed, trail = self._endpoints.take_down(slot), self._endpoints.trail()
            if trail:
                self._registry.make_default(trail[-1])
            return removed if slot in trail else removed + self._forget(slot)

    def delete(self) -> list[str]:
        """Remove the endpoint, the versions of its model and their archives; name what was removed.

        Raises
        ------
        NotOurs
            If the name is somebody else's: nothing was touched.
        """
        with self.alone("deleting the endpoint"):
            standing, removed = self.standing(), []
            with explained("deleting the endpoint", self.address):
                # Last what takes the traffic: it can be undeployed only when nothing else is left to take it.
                for slot in sorted(standing.placed | {*standing.trail}, key=lambda slot: slot == standing.current):
                    removed += self._endpoints.take_down(slot) + self._forget(slot)
                return removed + self._endpoints.close(self.settings.name)

    def _predicted(self, request: PredictRequest) -> list[Any]:
        """Predictions of what the endpoint's split names: a change of it takes a moment to reach the front door."""
        until = time.monotonic() + self.cloud.patience.settle
        while True:
            split = self.cloud.ask(self.cloud.endpoints.get_endpoint, {"name": request.endpoint}).traffic_split
            answer = self.cloud.ask(self.cloud.predictions.predict, request)
            if split.get(answer.deployed_model_id):
                return list(answer.predictions)
            if time.monotonic() >= until:
                raise DeploymentError(
                    "the traffic does not follow the split",
                    where=request.endpoint,
                    why=f"Deployed model {answer.deployed_model_id} answers, the split is {dict(split)}",
                    do="deploy again",
                )
            time.sleep(self.cloud.patience.poll)

    def _forget(self, slot: str) -> list[str]:
        return self._registry.remove(slot) + self._archives.remove(slot)

    @property
    def _endpoints(self) -> Endpoints:
        return Endpoints(self.cloud, self.owner, self.settings.name)

    @property
    def _archives(self) -> Archives:
        return Archives(self.cloud, self.owner, f"{self.settings.bucket.rstrip('/')}/{self.settings.name}")

    @property
    def _registry(self) -> Registry:
        return Registry(self.cloud, self.owner, self.settings.name, self._archives)
