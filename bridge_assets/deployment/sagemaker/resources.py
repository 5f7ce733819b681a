"""Creates, tags, lists and removes SageMaker models, endpoint configurations and endpoints.

Belongs here: single requests about resources of ours. Does not belong here: waiting for endpoints (`endpoints`), and
the steps of a deployment (`target`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from bridge_assets.deployment.core.tags import OWNER_TAG, check_owner
from bridge_assets.deployment.sagemaker.client import AwsClient, ConflictError, NotFoundError

#: Tag with the digest of a resource's settings; a resource with another digest is created again.
CONFIG_DIGEST_TAG = "bridge-assets-made-from"


class ResourceKind(NamedTuple):
    """SageMaker's names for a kind of resource: in operations, in their parameters, and in words."""

    operation: str
    parameter: str
    label: str


MODEL = ResourceKind("model", "Model", "model")
CONFIG = ResourceKind("endpoint_config", "EndpointConfig", "endpoint configuration")
ENDPOINT = ResourceKind("endpoint", "Endpoint", "endpoint")


@dataclass(frozen=True)
class Resource:
    """A resource as SageMaker describes it.

    Attributes
    ----------
    kind : ResourceKind
    name : str
    description : mapping
        Response of its Describe operation.
    tags : mapping of str to str
    """

    kind: ResourceKind
    name: str
    description: Mapping[str, Any]
    tags: Mapping[str, str]

    @property
    def config_digest(self) -> str | None:
        return self.tags.get(CONFIG_DIGEST_TAG)

    # For endpoints only

    @property
    def status(self) -> str:
        return self.description["EndpointStatus"]

    @property
    def is_busy(self) -> bool:
        """Creating, Updating, SystemUpdating, RollingBack or Deleting: it cannot be changed or removed."""
        return self.status.endswith("ing") or self.status == "RollingBack"

    @property
    def is_serving(self) -> bool:
        """Whether it accepts requests. During an update it serves the previous configuration."""
        return self.status not in ("Creating", "Failed", "OutOfService", "Deleting")

    @property
    def current_config(self) -> str:
        """The configuration that it serves, or will be the first to serve."""
        return self.description["EndpointConfigName"]

    @property
    def configs_in_use(self) -> set[str]:
        """Every configuration in use: two during an update."""
        return {
            self.current_config,
            self.description.get("PendingDeploymentSummary", {}).get("EndpointConfigName", self.current_config),
        }

    @property
    def failure_reason(self) -> str:
        return self.description.get("FailureReason", "SageMaker gives no reason").rstrip(".")


@dataclass(frozen=True)
class ResourceClient:
    """SageMaker in one region, on behalf of one owner. Resources without the owner's tag are never changed."""

    aws: AwsClient
    owner: str

    def find(self, kind: ResourceKind, name: str) -> Resource | None:
        """A resource and its tags, or None.

        Raises
        ------
        OwnershipError
            If it belongs to somebody else.
        """
        found = self._describe(kind, name)
        if found:
            check_owner(found.tags, self.owner, f"the {kind.label} {name}", self.aws.where)
        return found

    def find_owned(self, kind: ResourceKind, name: str) -> Resource | None:
        """A resource of ours and its tags; None if it does not exist or belongs to somebody else."""
        found = self._describe(kind, name)
        return found if found and found.tags.get(OWNER_TAG) == self.owner else None

    def describe_again(self, endpoint: Resource) -> Resource | None:
        """Describe an endpoint again, without reading its tags again."""
        try:
            description = self.aws.call("sagemaker", "describe_endpoint", EndpointName=endpoint.name)
        except NotFoundError:
            return None
        return replace(endpoint, description=description)

    def list_names(self, kind: ResourceKind, containing: str) -> Iterator[tuple[str, str]]:
        """Names and ARNs of the resources of a kind, of any owner."""
        for page in self.aws.paginate("sagemaker", f"list_{kind.operation}s", NameContains=containing):
            for each in page[f"{kind.parameter}s"]:
                yield each[f"{kind.parameter}Name"], each[f"{kind.parameter}Arn"]

    def is_owned(self, arn: str) -> bool:
        try:
            return self._tags(arn).get(OWNER_TAG) == self.owner
        except NotFoundError:
            return False

    def create(self, kind: ResourceKind, name: str, tags: Mapping[str, str], **request: Any) -> None:
        """Create a resource, or accept the one that an earlier try created whose response was lost."""
        body = {f"{kind.parameter}Name": name, **request, "Tags": _tag_list({OWNER_TAG: self.owner, **tags})}
        try:
            self.aws.call("sagemaker", f"create_{kind.operation}", **body)
        except ConflictError:
            found = self.find(kind, name)
            if found is None or any(found.tags.get(key) != value for key, value in tags.items()):
                raise

    def ensure_exists(
        self, found: Resource | None, kind: ResourceKind, name: str, config_digest: str, **request: Any
    ) -> None:
        """Keep the existing resource if it was made from the same settings; otherwise create it (again)."""
        if found and found.config_digest != config_digest:
            self.remove(found)
            found = None
        if found is None:
            self.create(kind, name, {CONFIG_DIGEST_TAG: config_digest}, **request)

    def remove(self, found: Resource) -> None:
        """Request the removal of a resource. An endpoint takes a while to disappear."""
        kind = found.kind
        try:
            self.aws.call("sagemaker", f"delete_{kind.operation}", **{f"{kind.parameter}Name": found.name})
        except NotFoundError:
            return
        except ConflictError:  # an earlier try, whose response was lost, may have succeeded
            latest = self.describe_again(found)
            if latest is not None and latest.status != "Deleting":
                raise

    def tag(self, found: Resource, tags: Mapping[str, str]) -> None:
        arn = found.description[f"{found.kind.parameter}Arn"]
        self.aws.call("sagemaker", "add_tags", ResourceArn=arn, Tags=_tag_list(tags))

    def _describe(self, kind: ResourceKind, name: str) -> Resource | None:
        try:
            description = self.aws.call("sagemaker", f"describe_{kind.operation}", **{f"{kind.parameter}Name": name})
            return Resource(kind, name, description, self._tags(description[f"{kind.parameter}Arn"]))
        except NotFoundError:
            return None

    def _tags(self, arn: str) -> dict[str, str]:
        pages = self.aws.paginate("sagemaker", "list_tags", ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
