"""Operations on one managed online endpoint and its deployments.

Belongs here: single steps, each waited for. Does not belong here: the order of the steps of a deployment (`target`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge_assets.deployment.azureml.workspace import Workspace, error_reason
from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.deployment.core.tags import OWNER_TAG, check_owner, deployment_tags, history_from_tags
from bridge_assets.errors import DeploymentError, OwnershipError, error_summary
from bridge_assets.storage import json_digest

if TYPE_CHECKING:
    import numpy as np
    from azure.ai.ml.entities import OnlineDeployment, OnlineEndpoint

#: Port and routes of the app in its container.
_PORT, _HEALTH, _SCORE = 8080, "/health", "/score"

_BUSY = frozenset(("Creating", "Updating", "Deleting", "Scaling"))

#: Tag with the digest of a deployment's compute settings; a deployment with another digest is created again.
_CONFIG_DIGEST_TAG = "bridge-assets-made-from"

#: Lines of a container's log in an error message: enough for a traceback.
_LOG_LINES = 20


class Prediction(NamedTuple):
    """The response of the app: its model version, and one probability per row."""

    version: str
    probabilities: np.ndarray


@dataclass(frozen=True)
class EndpointState:
    """The state of an endpoint.

    Attributes
    ----------
    traffic : mapping of str to int
        Deployment -> its share of the traffic in percent, above 0.
    tags : mapping
        Tags of the endpoint.
    deployments : mapping of str to OnlineDeployment
        All deployments, of any owner.
    endpoint : OnlineEndpoint or None
        None = the endpoint does not exist.
    """

    traffic: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    deployments: Mapping[str, OnlineDeployment] = field(default_factory=dict)
    endpoint: OnlineEndpoint | None = None

    @property
    def current_deployment(self) -> str | None:
        """The deployment with the largest share of the traffic."""
        return max(self.traffic, key=self.traffic.__getitem__, default=None)

    @property
    def history(self) -> tuple[str, ...]:
        return history_from_tags(self.tags)


@dataclass(frozen=True)
class Endpoint:
    """An online endpoint of a workspace.

    Attributes
    ----------
    workspace : Workspace
    name : str
    owner : str
        Tag of every resource; resources with another owner are never touched.
    compute : mapping of str to (str or int)
        `image`, `compute_type` and `instances` of a deployment.
    """

    workspace: Workspace
    name: str
    owner: str
    compute: Mapping[str, Any]
    _scoring_uri: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def address(self) -> str:
        """The scoring URI or, before it is known, the resource id of the endpoint."""
        return self._scoring_uri[-1] if self._scoring_uri else f"{self.workspace.id}/onlineEndpoints/{self.name}"

    def state(self) -> EndpointState:
        """The state of the endpoint, once no change is in progress: a change whose response was lost still continues.

        Raises
        ------
        OwnershipError
            If the endpoint, or the deployment with its traffic, belongs to somebody else.
        """
        client = self.workspace.client
        endpoint = self.workspace.poll_until(
            lambda: self.workspace.get_or_none(lambda: client.online_endpoints.get(self.name)),
            lambda endpoint: endpoint is None or _provisioning_state(endpoint) not in _BUSY,
            self.workspace.wait_policy.operation_seconds,
        )
        if endpoint is None:
            return EndpointState()
        self._check_owner(endpoint, f"the endpoint {self.name}")
        if endpoint.scoring_uri:
            self._scoring_uri[:] = [endpoint.scoring_uri]
        traffic = {name: share for name, share in (endpoint.traffic or {}).items() if share}
        deployments = {str(each.name): each for each in client.online_deployments.list(self.name)}
        for name in traffic.keys() & deployments.keys():
            self._check_owner(deployments[name], f"deployment {name}, which has traffic,")
        return EndpointState(traffic, endpoint.tags or {}, deployments, endpoint)

    def operations_in_progress(self) -> list[str]:
        """Operations in progress. One of ours takes at most `wait_policy.operation_seconds`; a deployment that has been
        in progress for longer was left behind by an interrupted run.
        """
        client, longest_step = self.workspace.client, timedelta(seconds=self.workspace.wait_policy.operation_seconds)
        endpoint = self.workspace.get_or_none(lambda: client.online_endpoints.get(self.name))
        if endpoint is None:
            return []
        if _provisioning_state(endpoint) in _BUSY:
            return [f"endpoint {self.name} is {_provisioning_state(endpoint)}"]
        return [
            f"deployment {each.name} is {_provisioning_state(each)}"
            for each in client.online_deployments.list(self.name)
            if _provisioning_state(each) in _BUSY and datetime.now(UTC) - _last_modified(each) < longest_step
        ]

    def owns(self, entity: OnlineEndpoint | OnlineDeployment) -> bool:
        return (entity.tags or {}).get(OWNER_TAG) == self.owner

    def ensure_exists(self, found: EndpointState) -> None:
        """Create the endpoint if it does not exist. One that could not be created completely is removed."""
        from azure.ai.ml.entities import ManagedOnlineEndpoint
        from azure.core.exceptions import HttpResponseError

        if found.endpoint and _provisioning_state(found.endpoint) == "Succeeded":
            return
        desired = found.endpoint or ManagedOnlineEndpoint(
            name=self.name, auth_mode="key", tags=deployment_tags(self.owner)
        )
        try:
            self._update(desired, f"creating the endpoint {self.name}")
        except BaseException as error:
            if found.endpoint is None:
                self._delete_after_failure(error)
            if isinstance(error, HttpResponseError) and "unique within" in str(error):
                raise OwnershipError(
                    f"the endpoint {self.name} is not ours",
                    where=self.address,
                    why=error_reason(error),
                    do="choose another name in configs/environment.yaml. The endpoint was not touched",
                ) from error
            raise

    def delete(self) -> None:
        """Remove the endpoint with all its deployments."""
        self.workspace.wait(self.workspace.client.online_endpoints.begin_delete(self.name), f"deleting {self.name}")

    def set_traffic(self, found: EndpointState, history: tuple[str, ...]) -> None:
        """Give all the traffic to the last slot of a history (none if it is empty), and store the history as tags."""
        assert found.endpoint is not None  # `ensure_exists` created it
        own_tags = deployment_tags(self.owner, found.history)
        others = {name: value for name, value in found.tags.items() if name not in own_tags}
        found.endpoint.tags = {**others, **deployment_tags(self.owner, history)}
        found.endpoint.traffic = {history[-1]: 100} if history else {}
        self._update(found.endpoint, "moving the traffic")

    def is_up_to_date(self, existing: OnlineDeployment) -> bool:
        """Whether an existing deployment succeeded and has the current compute settings."""
        self._check_owner(existing, f"deployment {existing.name}")
        return (
            _provisioning_state(existing) == "Succeeded"
            and (existing.tags or {}).get(_CONFIG_DIGEST_TAG) == self._config_digest
        )

    def create_deployment(self, bundle: Bundle, model: str) -> None:
        """Create a deployment without traffic, and wait until its container is healthy.

        Raises
        ------
        DeploymentError
            If it does not become healthy, with the last lines of its log.
        """
        from azure.ai.ml.entities import Environment, ManagedOnlineDeployment
        from azure.core.exceptions import HttpResponseError

        routes = {"liveness_route": _HEALTH, "readiness_route": _HEALTH, "scoring_route": _SCORE}
        deployment = ManagedOnlineDeployment(
            name=bundle.slot,
            endpoint_name=self.name,
            model=model,
            environment=Environment(
                image=self.compute["image"],
                inference_config={route: {"path": path, "port": _PORT} for route, path in routes.items()},
            ),
            environment_variables={
                "BRIDGE_ASSETS_SLOT": bundle.slot,
                "BRIDGE_ASSETS_PACKAGE_SHA256": bundle.digest,
            },
            instance_type=self.compute["compute_type"],
            instance_count=self.compute["instances"],
            tags={**deployment_tags(self.owner), _CONFIG_DIGEST_TAG: self._config_digest},
        )
        poller = self.workspace.client.online_deployments.begin_create_or_update(deployment)
        try:
            self.workspace.wait(poller, f"starting slot {bundle.slot}")
        except (HttpResponseError, DeploymentError) as error:
            message = error.what if isinstance(error, DeploymentError) else error_reason(error)
            raise DeploymentError(
                f"slot {bundle.slot} did not start",
                where=self.address,
                why=f"{message}. Log of its container: {self._last_log_lines(bundle.slot)}",
                do="fix the cause (the endpoint's page shows the whole log), then deploy again",
            ) from error

    def delete_deployment(self, existing: OnlineDeployment) -> None:
        """Remove a deployment. Azure refuses this while the deployment has traffic."""
        from azure.core.exceptions import ResourceExistsError

        self._check_owner(existing, f"deployment {existing.name}")
        client, slot = self.workspace.client.online_deployments, str(existing.name)
        try:
            poller = client.begin_delete(slot, self.name)
        except ResourceExistsError:  # 409: another operation on it is in progress
            remaining = self.workspace.poll_until(
                lambda: self.workspace.get_or_none(lambda: client.get(slot, self.name)),
                lambda left: left is None or _provisioning_state(left) not in _BUSY,
                self.workspace.wait_policy.operation_seconds,
            )
            if remaining is None:
                return
            poller = client.begin_delete(slot, self.name)
        self.workspace.wait(poller, f"deleting deployment {slot}")

    def predict(self, instances: list[dict[str, float | None]], slot: str | None, version: str) -> Prediction:
        """Get predictions from a slot or, with None, from the endpoint. A change of traffic takes effect with a delay,
        so requests are repeated until that version responds, for at most `wait_policy.traffic_seconds`.
        """
        key = self.workspace.client.online_endpoints.get_keys(self.name).primary_key  # pyright: ignore[reportAttributeAccessIssue] # `ensure_exists` chose keys, not tokens
        headers = {"Authorization": f"Bearer {key}", **({"azureml-model-deployment": slot} if slot else {})}
        return self.workspace.poll_until(
            lambda: self._parse_response(self.workspace.post(self.address, {"instances": instances}, headers)),
            lambda answer: answer.version == version,
            self.workspace.wait_policy.traffic_seconds,
        )

    @property
    def _config_digest(self) -> str:
        return json_digest(dict(self.compute))[:12]

    def _check_owner(self, entity: OnlineEndpoint | OnlineDeployment, what: str) -> None:
        check_owner(entity.tags or {}, self.owner, what, self.address)

    def _update(self, endpoint: OnlineEndpoint, action: str) -> None:
        self.workspace.wait(self.workspace.client.online_endpoints.begin_create_or_update(endpoint), action)

    def _delete_after_failure(self, error: BaseException) -> None:
        client = self.workspace.client.online_endpoints
        try:
            if existing := self.workspace.get_or_none(lambda: client.get(self.name)):
                self._check_owner(existing, f"the endpoint {self.name}")
                self.delete()
        except Exception as failure:
            error.add_note(
                f"The endpoint {self.name} was not removed ({error_reason(failure)}). It costs nothing while empty."
            )

    def _last_log_lines(self, slot: str) -> str:
        from azure.core.exceptions import AzureError

        try:
            log = self.workspace.client.online_deployments.get_logs(slot, self.name, lines=_LOG_LINES)
        except AzureError as error:
            return f"not available ({error_reason(error)})"
        return " / ".join(log.rstrip(". \n").splitlines()) or "empty"

    def _parse_response(self, text: str) -> Prediction:
        import numpy as np

        try:
            response = json.loads(text)
            return Prediction(str(response["model_version"]), np.asarray(response["predictions"], dtype=np.float64))
        except (ValueError, KeyError, TypeError) as error:
            raise DeploymentError(
                "the response contains no predictions",
                where=self.address,
                why=f"{error_summary(error)}; the response begins with {text[:100]!r}",
                do=f"check that {self.compute['image']} is built from the Dockerfile, then deploy again",
            ) from error


def _provisioning_state(entity: OnlineEndpoint | OnlineDeployment) -> str:
    """The provisioning state as a capitalized string; the SDK returns a string or an enum."""
    return str.capitalize(entity.provisioning_state or "")


def _last_modified(deployment: OnlineDeployment) -> datetime:
    """When the deployment was last modified; now, if Azure does not report it."""
    context = deployment.creation_context
    return (context and (context.last_modified_at or context.created_at)) or datetime.now(UTC)
