"""Calls about one managed online endpoint and the deployments in it.

Belongs here: single steps, each of them waited for, and what they find. Does not belong here: which of them make a
deployment of a version (`azureml`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge_assets.deployment.azureml.workspace import Workspace, reason
from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.deployment.core.tags import OWNER, check_owner, tags_of, trail_in
from bridge_assets.errors import DeploymentError, NotOurs, in_one_line
from bridge_assets.storage import digest_of

if TYPE_CHECKING:
    import numpy as np
    from azure.ai.ml.entities import OnlineDeployment, OnlineEndpoint

#: Where the served app listens in its container, and what it is asked there.
_PORT, _HEALTH, _SCORE = 8080, "/health", "/score"

_BUSY = frozenset(("Creating", "Updating", "Deleting", "Scaling"))

#: Tag of what a deployment was made from beside its slot; with another one it is made anew.
_MADE_FROM = "bridge-assets-made-from"

#: Lines of a container's log that an error shows: enough for the last words of a process.
_LOG_LINES = 20


class Answer(NamedTuple):
    """What the served app said: the version that answered, and a probability a row."""

    version: str
    probabilities: np.ndarray


@dataclass(frozen=True)
class Found:
    """What stands.

    Attributes
    ----------
    traffic : mapping of str to int
        Deployment -> its share in percent, above 0.
    tags : mapping
        Of the endpoint.
    deployments : mapping of str to OnlineDeployment
        Ours and others.
    endpoint : OnlineEndpoint or None
        None = there is none.
    """

    traffic: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    deployments: Mapping[str, OnlineDeployment] = field(default_factory=dict)
    endpoint: OnlineEndpoint | None = None

    @property
    def current(self) -> str | None:
        """The deployment with most of the traffic."""
        return max(self.traffic, key=self.traffic.__getitem__, default=None)

    @property
    def trail(self) -> tuple[str, ...]:
        return trail_in(self.tags)


@dataclass(frozen=True)
class Endpoint:
    """An online endpoint of a workspace.

    Attributes
    ----------
    workspace : Workspace
    name : str
    owner : str
        Tag of what is made; what carries another one is never touched.
    machines : mapping of str to (str or int)
        What a deployment runs on: `image`, `compute_type`, `instances`.
    """

    workspace: Workspace
    name: str
    owner: str
    machines: Mapping[str, Any]
    _scoring_uri: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def address(self) -> str:
        """The scoring URI, once it is known; before, where the endpoint is to be."""
        return self._scoring_uri[-1] if self._scoring_uri else f"{self.workspace.id}/onlineEndpoints/{self.name}"

    def look(self) -> Found:
        """What stands, once the endpoint is not being changed any more: a change whose answer was lost goes on.

        Raises
        ------
        NotOurs
            If the endpoint, or the deployment that has its traffic, is somebody else's.
        """
        client = self.workspace.client
        endpoint = self.workspace.until(
            lambda: self.workspace.found(lambda: client.online_endpoints.get(self.name)),
            lambda endpoint: endpoint is None or _state(endpoint) not in _BUSY,
            self.workspace.patience.operation,
        )
        if endpoint is None:
            return Found()
        self._check(endpoint, f"the endpoint {self.name}")
        if endpoint.scoring_uri:
            self._scoring_uri[:] = [endpoint.scoring_uri]
        traffic = {name: share for name, share in (endpoint.traffic or {}).items() if share}
        deployments = {str(each.name): each for each in client.online_deployments.list(self.name)}
        for name in traffic.keys() & deployments.keys():
            self._check(deployments[name], f"deployment {name}, which has traffic,")
        return Found(traffic, endpoint.tags or {}, deployments, endpoint)

    def company(self) -> list[str]:
        """What is being changed now. A step of ours takes no longer than `patience.operation`: a deployment that has
        been in the making for longer is what a killed run left.
        """
        client, ours = self.workspace.client, timedelta(seconds=self.workspace.patience.operation)
        endpoint = self.workspace.found(lambda: client.online_endpoints.get(self.name))
        if endpoint is None:
            return []
        if _state(endpoint) in _BUSY:
            return [f"endpoint {self.name} is {_state(endpoint)}"]
        return [
            f"deployment {each.name} is {_state(each)}"
            for each in client.online_deployments.list(self.name)
            if _state(each) in _BUSY and datetime.now(UTC) - _changed_at(each) < ours
        ]

    def owns(self, entity: OnlineEndpoint | OnlineDeployment) -> bool:
        return (entity.tags or {}).get(OWNER) == self.owner

    def open(self, found: Found) -> None:
        """See to it that there is an endpoint. One that could not be finished is taken back."""
        from azure.ai.ml.entities import ManagedOnlineEndpoint
        from azure.core.exceptions import HttpResponseError

        if found.endpoint and _state(found.endpoint) == "Succeeded":
            return
        wanted = found.endpoint or ManagedOnlineEndpoint(name=self.name, auth_mode="key", tags=tags_of(self.owner))
        try:
            self._change(wanted, f"making the endpoint {self.name}")
        except BaseException as error:
            if found.endpoint is None:
                self._take_back(error)
            if isinstance(error, HttpResponseError) and "unique within" in str(error):
                raise NotOurs(
                    f"the endpoint {self.name} is not ours",
                    where=self.address,
                    why=reason(error),
                    do="choose another name in configs/environment.yaml. Nothing there was touched",
                ) from error
            raise

    def delete(self) -> None:
        """Remove it with everything in it."""
        self.workspace.wait(self.workspace.client.online_endpoints.begin_delete(self.name), f"deleting {self.name}")

    def route(self, found: Found, trail: tuple[str, ...]) -> None:
        """Give all the traffic to the last slot of a trail, or to nobody, and keep the trail; other tags stay."""
        assert found.endpoint is not None  # `open` made it
        ours = tags_of(self.owner, found.trail)
        others = {name: value for name, value in found.tags.items() if name not in ours}
        found.endpoint.tags = {**others, **tags_of(self.owner, trail)}
        found.endpoint.traffic = {trail[-1]: 100} if trail else {}
        self._change(found.endpoint, "moving the traffic")

    def is_whole(self, there: OnlineDeployment) -> bool:
        """Whether a deployment stands as this one would make it."""
        self._check(there, f"deployment {there.name}")
        return _state(there) == "Succeeded" and (there.tags or {}).get(_MADE_FROM) == self._made_from

    def start(self, bundle: Bundle, model: str) -> None:
        """Start a deployment, without traffic, and wait until its container is healthy.

        Raises
        ------
        DeploymentError
            If it is not, with the last lines of its log.
        """
        from azure.ai.ml.entities import Environment, ManagedOnlineDeployment
        from azure.core.exceptions import HttpResponseError

        routes = {"liveness_route": _HEALTH, "readiness_route": _HEALTH, "scoring_route": _SCORE}
        deployment = ManagedOnlineDeployment(
            name=bundle.slot,
            endpoint_name=self.name,
            model=model,
            environment=Environment(
                image=self.machines["image"],
                inference_config={route: {"path": path, "port": _PORT} for route, path in routes.items()},
            ),
            environment_variables={
                "BRIDGE_ASSETS_SLOT": bundle.slot,
                "BRIDGE_ASSETS_PACKAGE_SHA256": bundle.digest,
            },
            instance_type=self.machines["compute_type"],
            instance_count=self.machines["instances"],
            tags={**tags_of(self.owner), _MADE_FROM: self._made_from},
        )
        poller = self.workspace.client.online_deployments.begin_create_or_update(deployment)
        try:
            self.workspace.wait(poller, f"starting slot {bundle.slot}")
        except (HttpResponseError, DeploymentError) as error:
            said = error.what if isinstance(error, DeploymentError) else reason(error)
            raise DeploymentError(
                f"slot {bundle.slot} did not start",
                where=self.address,
                why=f"{said}. Its container said: {self._last_words(bundle.slot)}",
                do="mend what the reason names (the page of the endpoint shows the whole log), then deploy again",
            ) from error

    def stop(self, there: OnlineDeployment) -> None:
        """Remove a deployment. Azure refuses while it has traffic."""
        from azure.core.exceptions import ResourceExistsError

        self._check(there, f"deployment {there.name}")
        client, slot = self.workspace.client.online_deployments, str(there.name)
        try:
            poller = client.begin_delete(slot, self.name)
        except ResourceExistsError:  # 409: something else goes on with it
            left = self.workspace.until(
                lambda: self.workspace.found(lambda: client.get(slot, self.name)),
                lambda left: left is None or _state(left) not in _BUSY,
                self.workspace.patience.operation,
            )
            if left is None:
                return
            poller = client.begin_delete(slot, self.name)
        self.workspace.wait(poller, f"deleting deployment {slot}")

    def ask(self, instances: list[dict[str, float | None]], slot: str | None, version: str) -> Answer:
        """Ask a slot, or (None) the front door, which may hear late of a change of traffic: it is asked until that
        version answers, at most `patience.settle`.
        """
        key = self.workspace.client.online_endpoints.get_keys(self.name).primary_key  # pyright: ignore[reportAttributeAccessIssue] # `open` asked for keys, not tokens
        headers = {"Authorization": f"Bearer {key}", **({"azureml-model-deployment": slot} if slot else {})}
        return self.workspace.until(
            lambda: self._answer(self.workspace.post(self.address, {"instances": instances}, headers)),
            lambda answer: answer.version == version,
            self.workspace.patience.settle,
        )

    @property
    def _made_from(self) -> str:
        return digest_of(dict(self.machines))[:12]

    def _check(self, entity: OnlineEndpoint | OnlineDeployment, what: str) -> None:
        check_owner(entity.tags or {}, self.owner, what, self.address)

    def _change(self, endpoint: OnlineEndpoint, doing: str) -> None:
        self.workspace.wait(self.workspace.client.online_endpoints.begin_create_or_update(endpoint), doing)

    def _take_back(self, error: BaseException) -> None:
        client = self.workspace.client.online_endpoints
        try:
            if there := self.workspace.found(lambda: client.get(self.name)):
                self._check(there, f"the endpoint {self.name}")
                self.delete()
        except Exception as failure:
            error.add_note(
                f"The endpoint {self.name} was not taken back ({reason(failure)}). By itself it costs nothing."
            )

    def _last_words(self, slot: str) -> str:
        from azure.core.exceptions import AzureError

        try:
            said = self.workspace.client.online_deployments.get_logs(slot, self.name, lines=_LOG_LINES)
        except AzureError as error:
            return f"nothing that can be read ({reason(error)})"
        return " / ".join(said.rstrip(". \n").splitlines()) or "nothing"

    def _answer(self, text: str) -> Answer:
        import numpy as np

        try:
            said = json.loads(text)
            return Answer(str(said["model_version"]), np.asarray(said["predictions"], dtype=np.float64))
        except (ValueError, KeyError, TypeError) as error:
            raise DeploymentError(
                "the answer is not that of the served app",
                where=self.address,
                why=f"{in_one_line(error)}; it begins with {text[:100]!r}",
                do=f"see that {self.machines['image']} is built from the Dockerfile, then deploy again",
            ) from error


def _state(entity: OnlineEndpoint | OnlineDeployment) -> str:
    """As plain text: the SDK gives text or an enum."""
    return str.capitalize(entity.provisioning_state or "")


def _changed_at(deployment: OnlineDeployment) -> datetime:
    """When Azure last heard of it; now, where it does not say."""
    said = deployment.creation_context
    return (said and (said.last_modified_at or said.created_at)) or datetime.now(UTC)
