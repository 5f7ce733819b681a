"""Vertex AI endpoints and the models deployed there; every step can be repeated safely.

A response can be lost after the service accepted the request. So every step first reads the operations in progress and
the current state, and then does only what is still missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.deployment.core.bundle import SLOT
from bridge_assets.deployment.core.tags import OWNER_TAG, check_owner, deployment_tags, history_from_tags
from bridge_assets.deployment.core.target import resolve_history
from bridge_assets.deployment.vertexai.client import GoogleCloud
from bridge_assets.errors import DeploymentError, OwnershipError

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Endpoint

#: Label of everything that belongs to one endpoint, used to filter lists.
NAME_LABEL = "bridge-assets-name"


@dataclass(frozen=True)
class Endpoints:
    """The endpoint that receives the requests, and the staging endpoints of slots during their canary.

    Attributes
    ----------
    cloud : GoogleCloud
    owner : str
    name : str
    """

    cloud: GoogleCloud
    owner: str
    name: str

    def resource_name(self, endpoint_id: str) -> str:
        return f"{self.cloud.parent}/endpoints/{endpoint_id}"

    def staging_id(self, slot: str) -> str:
        """Id of a slot's staging endpoint."""
        return f"{self.name}-{slot}"

    @property
    def labels(self) -> dict[str, str]:
        return {**deployment_tags(self.owner), NAME_LABEL: self.name}

    def get(self, endpoint_id: str) -> Endpoint | None:
        """An endpoint, or None. Raises OwnershipError if it belongs to somebody else."""
        endpoint = self.cloud.get_or_none(self.cloud.endpoints.get_endpoint, {"name": self.resource_name(endpoint_id)})
        if endpoint is not None:
            check_owner(endpoint.labels, self.owner, f"the endpoint {endpoint_id}", self.cloud.parent)
        return endpoint

    def staged_slots(self) -> set[str]:
        """Slots that have a staging endpoint."""
        owner_filter = f'labels.{OWNER_TAG}="{self.owner}" AND labels.{NAME_LABEL}="{self.name}"'
        request = {"parent": self.cloud.parent, "filter": owner_filter}
        listed = self.cloud.list_all(self.cloud.endpoints.list_endpoints, request)
        # Resource names contain the project's number instead of its id, so only their last part can be compared.
        slots = {each.name.rpartition("/")[2].removeprefix(self.staging_id("")) for each in listed}
        return {slot for slot in slots if SLOT.fullmatch(slot)}

    def history(self) -> tuple[str, ...]:
        """Slots that received the traffic of the endpoint, the current one last.

        Raises
        ------
        OwnershipError
            If the endpoint, or the deployed model with its traffic, belongs to somebody else.
        """
        endpoint = self.get(self.name)
        if endpoint is None or not endpoint.traffic_split:
            return ()
        deployed_id = max(endpoint.traffic_split, key=lambda id_: endpoint.traffic_split[id_])
        current = next((each.display_name for each in endpoint.deployed_models if each.id == deployed_id), "")
        if not SLOT.fullmatch(current):
            raise OwnershipError(
                f"the model that serves endpoint {self.name} was not deployed by bridge_assets",
                where=self.resource_name(self.name),
                why=f"The name of deployed model {deployed_id}, {current!r}, is not a slot",
                do="undeploy it, or choose another name in configs/environment.yaml. It was not touched",
            )
        return resolve_history(current, history_from_tags(endpoint.labels))

    def deployed_slots(self) -> set[str]:
        """Slots that are deployed at the endpoint."""
        endpoint = self.get(self.name)
        names = {each.display_name for each in endpoint.deployed_models} if endpoint is not None else set()
        return {name for name in names if SLOT.fullmatch(name)}

    def pending_operations(self, slots: set[str]) -> list[str]:
        """Operations in progress at the endpoint and at the staging endpoints of slots."""
        ids = [self.name, *map(self.staging_id, sorted(slots))]
        return [
            operation
            for endpoint_id in ids
            for operation in self.cloud.pending_operations(self.resource_name(endpoint_id))
        ]

    def ensure_exists(self, endpoint_id: str) -> None:
        """Create an endpoint if it does not exist. An empty endpoint costs nothing."""
        request = {
            "parent": self.cloud.parent,
            "endpoint_id": endpoint_id,
            "endpoint": {"display_name": endpoint_id, "labels": self.labels},
        }

        def steps() -> None:
            if self.get(endpoint_id) is None:
                operation = self.cloud.call_once(self.cloud.endpoints.create_endpoint, request)
                self.cloud.wait_for([operation.operation.name], f"creating endpoint {endpoint_id}")

        self.cloud.with_retries(steps)

    def delete(self, endpoint_id: str) -> list[str]:
        """Delete an endpoint and the slots deployed there; returns its name if it existed. The service refuses this
        while something else is deployed there.
        """
        path, removed = self.resource_name(endpoint_id), []

        def steps() -> None:
            self.cloud.wait_for(
                self.cloud.pending_operations(path), f"the operation in progress on endpoint {endpoint_id}"
            )
            if (endpoint := self.get(endpoint_id)) is None:
                return
            removed[:] = [f"endpoint {endpoint_id}"]
            for deployed in endpoint.deployed_models:
                if SLOT.fullmatch(deployed.display_name):
                    self.undeploy(endpoint_id, deployed.id)
            operation = self.cloud.call_once(self.cloud.endpoints.delete_endpoint, {"name": path})
            self.cloud.wait_for([operation.operation.name], f"deleting endpoint {endpoint_id}")

        self.cloud.with_retries(steps)
        return removed

    def deploy(
        self, slot: str, versions: set[str], deployed_model: dict[str, Any], min_replicas: int, max_replicas: int
    ) -> None:
        """Deploy a slot at the endpoint, without traffic, and at its staging endpoint; in parallel, since each takes
        minutes. A deployment from one of `versions` (ids) is kept.
        """
        action = f"deploying slot {slot}"

        def start_deployment(endpoint_id: str, replicas: tuple[int, int], traffic: dict[str, int]) -> list[str]:
            path = self.resource_name(endpoint_id)
            self.cloud.wait_for(self.cloud.pending_operations(path), action)
            endpoint = self.cloud.call(self.cloud.endpoints.get_endpoint, {"name": path})
            existing = {
                each.id: each.model_version_id for each in endpoint.deployed_models if each.display_name == slot
            }
            if versions & {*existing.values()}:
                return []
            for deployed_id in existing:
                self.undeploy(endpoint_id, deployed_id)
            resources = {"min_replica_count": replicas[0], "max_replica_count": replicas[1]}
            model = {**deployed_model, "display_name": slot}
            model["dedicated_resources"] = {**model["dedicated_resources"], **resources}
            request = {"endpoint": path, "deployed_model": model, "traffic_split": traffic}
            return [self.cloud.call_once(self.cloud.endpoints.deploy_model, request).operation.name]

        def steps() -> None:
            # An empty split leaves the traffic unchanged; "0" is the model being deployed.
            operations = start_deployment(self.name, (min_replicas, max_replicas), {}) + start_deployment(
                self.staging_id(slot), (1, 1), {"0": 100}
            )
            self.cloud.wait_for(operations, action)

        self.cloud.with_retries(steps)

    def undeploy(self, endpoint_id: str, deployed_id: str) -> None:
        path = self.resource_name(endpoint_id)

        def steps() -> None:
            self.cloud.wait_for(
                self.cloud.pending_operations(path), f"the operation in progress on endpoint {endpoint_id}"
            )
            endpoint = self.cloud.call(self.cloud.endpoints.get_endpoint, {"name": path})
            if deployed_id not in [each.id for each in endpoint.deployed_models]:
                return
            request: dict[str, Any] = {"endpoint": path, "deployed_model_id": deployed_id}
            split = dict(endpoint.traffic_split)
            if split.pop(deployed_id, 0) and split:  # the traffic was split by hand
                request["traffic_split"] = {max(split, key=lambda id_: split[id_]): 100}
            operation = self.cloud.call_once(self.cloud.endpoints.undeploy_model, request)
            self.cloud.wait_for([operation.operation.name], f"undeploying from endpoint {endpoint_id}")

        self.cloud.with_retries(steps)

    def switch_traffic(self, history: tuple[str, ...]) -> None:
        """Give all traffic of the endpoint to the last slot of the history: split and labels in one call, which fails
        if the endpoint changed since it was read (etag).
        """
        path = self.resource_name(self.name)

        def steps() -> None:
            endpoint = self.cloud.call(self.cloud.endpoints.get_endpoint, {"name": path})
            deployed = next((each.id for each in endpoint.deployed_models if each.display_name == history[-1]), None)
            if deployed is None:
                why = "It was removed in the meantime"
                raise DeploymentError(f"slot {history[-1]} is not deployed", where=path, why=why, do="deploy it again")
            others = {key: value for key, value in endpoint.labels.items() if not key.startswith("bridge-assets-")}
            changed = {
                "name": path,
                "etag": endpoint.etag,
                "traffic_split": {deployed: 100},
                "labels": {**others, **self.labels, **deployment_tags(self.owner, history)},
            }
            request = {"endpoint": changed, "update_mask": {"paths": ["traffic_split", "labels"]}}
            self.cloud.call_once(self.cloud.endpoints.update_endpoint, request)

        self.cloud.with_retries(steps)

    def remove_slot(self, slot: str) -> list[str]:
        """Remove the billed resources of a slot, also if incomplete; returns the names of what was removed."""
        self.cloud.cancel(self.pending_operations({slot}))
        removed = self.delete(self.staging_id(slot))
        endpoint = self.get(self.name)
        for each in endpoint.deployed_models if endpoint is not None else ():
            if each.display_name == slot:
                self.undeploy(self.name, each.id)
                removed.append(f"deployed model {slot} of endpoint {self.name}")
        return removed
