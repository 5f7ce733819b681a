"""Endpoints of Vertex AI and what is deployed there, each step made so that it may be done again.

An answer can be lost after the service took a request. So every step looks first, at the operations under way and at
what stands, and does only what is still to be done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.deployment.core.bundle import SLOT
from bridge_assets.deployment.core.tags import OWNER, check_owner, tags_of, trail_in
from bridge_assets.deployment.core.target import trail_of
from bridge_assets.deployment.vertexai.client import GoogleCloud
from bridge_assets.errors import DeploymentError, NotOurs

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Endpoint

#: Label of everything that belongs to one endpoint: what a list is filtered by.
NAME = "bridge-assets-name"


@dataclass(frozen=True)
class Endpoints:
    """The endpoint of a name, the front door, and the ones that slots have of their own while they are asked.

    Attributes
    ----------
    cloud : GoogleCloud
    owner : str
    name : str
    """

    cloud: GoogleCloud
    owner: str
    name: str

    def path(self, endpoint_id: str) -> str:
        return f"{self.cloud.parent}/endpoints/{endpoint_id}"

    def staging(self, slot: str) -> str:
        """Id of the endpoint that a slot has of its own."""
        return f"{self.name}-{slot}"

    @property
    def labels(self) -> dict[str, str]:
        return {**tags_of(self.owner), NAME: self.name}

    def get(self, endpoint_id: str) -> Endpoint | None:
        """An endpoint, or None. Raises NotOurs where it is somebody else's."""
        endpoint = self.cloud.found(self.cloud.endpoints.get_endpoint, {"name": self.path(endpoint_id)})
        if endpoint is not None:
            check_owner(endpoint.labels, self.owner, f"the endpoint {endpoint_id}", self.cloud.parent)
        return endpoint

    def staged(self) -> set[str]:
        """Slots that have an endpoint of their own."""
        ours = f'labels.{OWNER}="{self.owner}" AND labels.{NAME}="{self.name}"'
        request = {"parent": self.cloud.parent, "filter": ours}
        listed = self.cloud.listed(self.cloud.endpoints.list_endpoints, request)
        # The service names a project by its number: only the last part of a name is as it was given.
        slots = {each.name.rpartition("/")[2].removeprefix(self.staging("")) for each in listed}
        return {slot for slot in slots if SLOT.fullmatch(slot)}

    def trail(self) -> tuple[str, ...]:
        """Slots that took the traffic of the front door.

        Raises
        ------
        NotOurs
            If the endpoint, or what takes its traffic, is somebody else's.
        """
        front = self.get(self.name)
        if front is None or not front.traffic_split:
            return ()
        most = max(front.traffic_split, key=lambda id_: front.traffic_split[id_])
        current = next((each.display_name for each in front.deployed_models if each.id == most), "")
        if not SLOT.fullmatch(current):
            raise NotOurs(
                f"what takes the traffic of endpoint {self.name} was not deployed by this library",
                where=self.path(self.name),
                why=f"Deployed model {most} is called {current!r}, which is no slot",
                do="undeploy it, or choose another name in configs/environment.yaml. Nothing there was touched",
            )
        return trail_of(current, trail_in(front.labels))

    def deployed(self) -> set[str]:
        """Slots that are deployed at the front door."""
        front = self.get(self.name)
        names = {each.display_name for each in front.deployed_models} if front is not None else set()
        return {name for name in names if SLOT.fullmatch(name)}

    def pending(self, slots: set[str]) -> list[str]:
        """Operations under way at the front door and at the endpoints of slots."""
        ids = [self.name, *map(self.staging, sorted(slots))]
        return [operation for endpoint_id in ids for operation in self.cloud.pending(self.path(endpoint_id))]

    def open(self, endpoint_id: str) -> None:
        """Create an endpoint, where there is none. An endpoint alone costs nothing."""
        request = {
            "parent": self.cloud.parent,
            "endpoint_id": endpoint_id,
            "endpoint": {"display_name": endpoint_id, "labels": self.labels},
        }

        def steps() -> None:
            if self.get(endpoint_id) is None:
                made = self.cloud.once(self.cloud.endpoints.create_endpoint, request)
                self.cloud.wait([made.operation.name], f"creating endpoint {endpoint_id}")

        self.cloud.tried(steps)

    def close(self, endpoint_id: str) -> list[str]:
        """Delete an endpoint and the slots that are deployed there; its name, where there was one. The service refuses
        while something else is deployed there.
        """
        path, removed = self.path(endpoint_id), []

        def steps() -> None:
            self.cloud.wait(self.cloud.pending(path), f"what is under way on endpoint {endpoint_id}")
            if (endpoint := self.get(endpoint_id)) is None:
                return
            removed[:] = [f"endpoint {endpoint_id}"]
            for deployed in endpoint.deployed_models:
                if SLOT.fullmatch(deployed.display_name):
                    self.undeploy(endpoint_id, deployed.id)
            gone = self.cloud.once(self.cloud.endpoints.delete_endpoint, {"name": path})
            self.cloud.wait([gone.operation.name], f"deleting endpoint {endpoint_id}")

        self.cloud.tried(steps)
        return removed

    def deploy(self, slot: str, versions: set[str], deployed_model: dict[str, Any], least: int, most: int) -> None:
        """Deploy a slot at the front door, without traffic, and on its own endpoint; at the same time, since each takes
        minutes. What is deployed there from one of `versions` (their ids) is kept.
        """
        doing = f"deploying slot {slot}"

        def begin(endpoint_id: str, replicas: tuple[int, int], traffic: dict[str, int]) -> list[str]:
            path = self.path(endpoint_id)
            self.cloud.wait(self.cloud.pending(path), doing)
            endpoint = self.cloud.ask(self.cloud.endpoints.get_endpoint, {"name": path})
            there = {each.id: each.model_version_id for each in endpoint.deployed_models if each.display_name == slot}
            if versions & {*there.values()}:
                return []
            for deployed_id in there:
                self.undeploy(endpoint_id, deployed_id)
            resources = {"min_replica_count": replicas[0], "max_replica_count": replicas[1]}
            model = {**deployed_model, "display_name": slot}
            model["dedicated_resources"] = {**model["dedicated_resources"], **resources}
            request = {"endpoint": path, "deployed_model": model, "traffic_split": traffic}
            return [self.cloud.once(self.cloud.endpoints.deploy_model, request).operation.name]

        def steps() -> None:
            # No split leaves the split as it is; "0" is what is being deployed.
            begun = begin(self.name, (least, most), {}) + begin(self.staging(slot), (1, 1), {"0": 100})
            self.cloud.wait(begun, doing)

        self.cloud.tried(steps)

    def undeploy(self, endpoint_id: str, deployed_id: str) -> None:
        path = self.path(endpoint_id)

        def steps() -> None:
            self.cloud.wait(self.cloud.pending(path), f"what is under way on endpoint {endpoint_id}")
            endpoint = self.cloud.ask(self.cloud.endpoints.get_endpoint, {"name": path})
            if deployed_id not in [each.id for each in endpoint.deployed_models]:
                return
            request: dict[str, Any] = {"endpoint": path, "deployed_model_id": deployed_id}
            split = dict(endpoint.traffic_split)
            if split.pop(deployed_id, 0) and split:  # somebody split the traffic by hand
                request["traffic_split"] = {max(split, key=lambda id_: split[id_]): 100}
            gone = self.cloud.once(self.cloud.endpoints.undeploy_model, request)
            self.cloud.wait([gone.operation.name], f"undeploying from endpoint {endpoint_id}")

        self.cloud.tried(steps)

    def move_traffic(self, trail: tuple[str, ...]) -> None:
        """All traffic of the front door to the last slot of the trail: split and labels in one call, which fails if
        the endpoint changed since it was read (etag).
        """
        path = self.path(self.name)

        def steps() -> None:
            endpoint = self.cloud.ask(self.cloud.endpoints.get_endpoint, {"name": path})
            deployed = next((each.id for each in endpoint.deployed_models if each.display_name == trail[-1]), None)
            if deployed is None:
                why = "It was removed meanwhile"
                raise DeploymentError(f"slot {trail[-1]} is not deployed", where=path, why=why, do="deploy it again")
            others = {key: value for key, value in endpoint.labels.items() if not key.startswith("bridge-assets-")}
            changed = {
                "name": path,
                "etag": endpoint.etag,
                "traffic_split": {deployed: 100},
                "labels": {**others, **self.labels, **tags_of(self.owner, trail)},
            }
            request = {"endpoint": changed, "update_mask": {"paths": ["traffic_split", "labels"]}}
            self.cloud.once(self.cloud.endpoints.update_endpoint, request)

        self.cloud.tried(steps)

    def take_down(self, slot: str) -> list[str]:
        """Remove what a slot costs, also where it is only half there; names of what was removed."""
        self.cloud.cancel(self.pending({slot}))
        removed = self.close(self.staging(slot))
        front = self.get(self.name)
        for each in front.deployed_models if front is not None else ():
            if each.display_name == slot:
                self.undeploy(self.name, each.id)
                removed.append(f"deployed model {slot} of endpoint {self.name}")
        return removed
