"""Models, endpoint configurations and endpoints of SageMaker: made, tagged, listed and removed alike; `Kind` is what
differs.

Belongs here: single requests about what is ours. Does not belong here: what an endpoint does in its own time
(`sagemaker_endpoints`), and which requests make a deployment (`sagemaker`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from bridge_assets.deployment.core.tags import OWNER, check_owner
from bridge_assets.deployment.sagemaker.client import Aws, Conflicting, Missing

#: Tag of what a resource was made from: another digest, and it is made anew.
MADE_FROM = "bridge-assets-made-from"


class Kind(NamedTuple):
    """What SageMaker calls a resource: in its operations, in their parameters, and in words."""

    operation: str
    parameter: str
    word: str


MODEL = Kind("model", "Model", "model")
CONFIG = Kind("endpoint_config", "EndpointConfig", "endpoint configuration")
ENDPOINT = Kind("endpoint", "Endpoint", "endpoint")


@dataclass(frozen=True)
class Found:
    """A resource as it stands.

    Attributes
    ----------
    kind : Kind
    name : str
    said : mapping
        What its Describe operation says.
    tags : mapping of str to str
    """

    kind: Kind
    name: str
    said: Mapping[str, Any]
    tags: Mapping[str, str]

    @property
    def made_from(self) -> str | None:
        return self.tags.get(MADE_FROM)

    # Of endpoints only

    @property
    def status(self) -> str:
        return self.said["EndpointStatus"]

    @property
    def busy(self) -> bool:
        """Creating, Updating, SystemUpdating, RollingBack, Deleting: SageMaker lets nobody change or remove it."""
        return self.status.endswith("ing") or self.status == "RollingBack"

    @property
    def answers(self) -> bool:
        """Whether it takes requests. During an update the configuration before it goes on answering."""
        return self.status not in ("Creating", "Failed", "OutOfService", "Deleting")

    @property
    def config(self) -> str:
        """The configuration that answers, or is the first to answer."""
        return self.said["EndpointConfigName"]

    @property
    def configs(self) -> set[str]:
        """Every configuration in use: two while an update runs."""
        return {self.config, self.said.get("PendingDeploymentSummary", {}).get("EndpointConfigName", self.config)}

    @property
    def reason(self) -> str:
        return self.said.get("FailureReason", "SageMaker gives no reason").rstrip(".")


@dataclass(frozen=True)
class Records:
    """SageMaker in one region, on behalf of one owner: what does not carry the owner's tag is never changed."""

    aws: Aws
    owner: str

    def find(self, kind: Kind, name: str) -> Found | None:
        """A resource and its tags, or None.

        Raises
        ------
        NotOurs
            If it is somebody else's.
        """
        found = self._look(kind, name)
        if found:
            check_owner(found.tags, self.owner, f"the {kind.word} {name}", self.aws.where)
        return found

    def ours(self, kind: Kind, name: str) -> Found | None:
        """A resource of ours and its tags; somebody else's is as good as none."""
        found = self._look(kind, name)
        return found if found and found.tags.get(OWNER) == self.owner else None

    def again(self, endpoint: Found) -> Found | None:
        """Another look at an endpoint; its tags are those that were found."""
        try:
            said = self.aws.ask("sagemaker", "describe_endpoint", EndpointName=endpoint.name)
        except Missing:
            return None
        return replace(endpoint, said=said)

    def names(self, kind: Kind, containing: str) -> Iterator[tuple[str, str]]:
        """Names and ARNs of the resources of a kind, whoever's they are."""
        for page in self.aws.pages("sagemaker", f"list_{kind.operation}s", NameContains=containing):
            for each in page[f"{kind.parameter}s"]:
                yield each[f"{kind.parameter}Name"], each[f"{kind.parameter}Arn"]

    def is_ours(self, arn: str) -> bool:
        try:
            return self._tags(arn).get(OWNER) == self.owner
        except Missing:
            return False

    def make(self, kind: Kind, name: str, tags: Mapping[str, str], **request: Any) -> None:
        """Create a resource. One that an earlier try of the request made, before its line was cut, is as good."""
        named = {f"{kind.parameter}Name": name, **request, "Tags": _as_list({OWNER: self.owner, **tags})}
        try:
            self.aws.ask("sagemaker", f"create_{kind.operation}", **named)
        except Conflicting:
            found = self.find(kind, name)
            if found is None or any(found.tags.get(key) != value for key, value in tags.items()):
                raise

    def ensure(self, found: Found | None, kind: Kind, name: str, made_from: str, **request: Any) -> None:
        """Have a record: what was found is kept where it was made from the same, else made anew."""
        if found and found.made_from != made_from:
            self.remove(found)
            found = None
        if found is None:
            self.make(kind, name, {MADE_FROM: made_from}, **request)

    def remove(self, found: Found) -> None:
        """Ask for the removal of a resource. Of an endpoint that takes a while."""
        kind = found.kind
        try:
            self.aws.ask("sagemaker", f"delete_{kind.operation}", **{f"{kind.parameter}Name": found.name})
        except Missing:
            return
        except Conflicting:  # an earlier try of the request, before its line was cut, may have been heard
            now = self.again(found)
            if now is not None and now.status != "Deleting":
                raise

    def tag(self, found: Found, tags: Mapping[str, str]) -> None:
        arn = found.said[f"{found.kind.parameter}Arn"]
        self.aws.ask("sagemaker", "add_tags", ResourceArn=arn, Tags=_as_list(tags))

    def _look(self, kind: Kind, name: str) -> Found | None:
        try:
            said = self.aws.ask("sagemaker", f"describe_{kind.operation}", **{f"{kind.parameter}Name": name})
            return Found(kind, name, said, self._tags(said[f"{kind.parameter}Arn"]))
        except Missing:
            return None

    def _tags(self, arn: str) -> dict[str, str]:
        pages = self.aws.pages("sagemaker", "list_tags", ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
