"""The stored parts of a slot, which need no machine: a version in Vertex AI's model registry, an archive in a bucket.

Both are kept for a rollback while the slot is in the deployment history.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.deployment.core.bundle import SLOT, Bundle
from bridge_assets.deployment.core.tags import OWNER_TAG, check_owner
from bridge_assets.deployment.vertexai.client import GoogleCloud

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Model
    from google.cloud.storage import Blob, Bucket

#: The file name that a container expects (`serve.container`) in the folder that AIP_STORAGE_URI names.
ARCHIVE = "bundle.tar.gz"

#: Port and routes of the container; Vertex AI passes them as AIP_HTTP_PORT, AIP_PREDICT_ROUTE and AIP_HEALTH_ROUTE.
_PORT, _PREDICT, _HEALTH = 8080, "/predict", "/health"


@dataclass(frozen=True)
class Archives:
    """The archives of one endpoint, `gs://bucket/folder/<slot>/bundle.tar.gz`.

    Attributes
    ----------
    cloud : GoogleCloud
    owner : str
        In the metadata of each object. Objects with another owner, or none, are never touched.
    uri : str
        gs://bucket/folder.
    """

    cloud: GoogleCloud
    owner: str
    uri: str

    def folder(self, slot: str) -> str:
        return f"{self.uri}/{slot}"

    def archive_uri(self, slot: str) -> str:
        return f"{self.folder(slot)}/{ARCHIVE}"

    def slots(self) -> set[str]:
        """Slots with an archive of ours."""
        prefix = self._object_name(self.folder(""))
        listed = self.cloud.with_retries(lambda: list(self._bucket.list_blobs(prefix=prefix, **self._request_options)))
        owned_names = [
            blob.name.removeprefix(prefix) for blob in listed if (blob.metadata or {}).get(OWNER_TAG) == self.owner
        ]
        slots = [name.removesuffix(f"/{ARCHIVE}") for name in owned_names]
        return {slot for slot in slots if SLOT.fullmatch(slot)}

    def upload(self, slot: str, archive: bytes, digest: str) -> None:
        """Upload an archive unless an identical one exists.

        Parameters
        ----------
        slot : str
        archive : bytes
        digest : str
            Its SHA-256, shown in the metadata. The comparison uses the CRC32C that the service computed.

        Raises
        ------
        OwnershipError
            If an object of that name belongs to somebody else.
        """
        import google_crc32c

        checksum = base64.b64encode(google_crc32c.Checksum(archive).digest()).decode("ascii")
        if (existing := self._get_blob(slot)) is not None and existing.crc32c == checksum:
            return

        def upload() -> None:
            blob = self._bucket.blob(self._object_name(self.archive_uri(slot)))
            blob.metadata = {OWNER_TAG: self.owner, "sha256": digest}
            blob.upload_from_string(archive, "application/gzip", checksum="crc32c", **self._request_options)

        self.cloud.with_retries(upload)

    def remove(self, slot: str) -> list[str]:
        """Remove the archive of a slot; returns its name if it existed."""
        from google.api_core.exceptions import NotFound

        if (blob := self._get_blob(slot)) is None:
            return []
        with suppress(NotFound):  # the first try succeeded, but its response was lost
            self.cloud.with_retries(lambda: blob.delete(**self._request_options))
        return [self.archive_uri(slot)]

    def _get_blob(self, slot: str) -> Blob | None:
        blob = self.cloud.with_retries(
            lambda: self._bucket.get_blob(self._object_name(self.archive_uri(slot)), **self._request_options)
        )
        if blob is not None:
            check_owner(blob.metadata or {}, self.owner, "the object", self.archive_uri(slot))
        return blob

    @property
    def _bucket(self) -> Bucket:
        return self.cloud.storage.bucket(self.uri.split("/")[2])

    @property
    def _request_options(self) -> dict[str, Any]:
        return {"retry": None, "timeout": self.cloud.wait_policy.request_seconds}

    @staticmethod
    def _object_name(uri: str) -> str:
        return uri.split("/", 3)[3]


@dataclass(frozen=True)
class VertexModelRegistry:
    """The model of one endpoint in the registry; a slot is a version of it, with the slot as an alias.

    Attributes
    ----------
    cloud : GoogleCloud
    owner : str
    name : str
        Name of the model.
    archives : Archives
        A version belongs to the slot from whose folder it was uploaded.
    """

    cloud: GoogleCloud
    owner: str
    name: str
    archives: Archives

    @property
    def resource_name(self) -> str:
        return f"{self.cloud.parent}/models/{self.name}"

    def slots(self) -> set[str]:
        """Slots that have a version. Raises OwnershipError if the model belongs to somebody else."""
        return {slot for version in self._versions() if (slot := self._slot_of(version))}

    def register(self, bundle: Bundle, image: str, labels: dict[str, str]) -> set[str]:
        """Register a bundle with an image unless it is registered; returns the ids of the matching versions."""
        variables = {"BRIDGE_ASSETS_PACKAGE_SHA256": bundle.digest, "BRIDGE_ASSETS_SLOT": bundle.slot}
        model = {
            "display_name": self.name,
            "labels": labels,
            "version_aliases": [bundle.slot],
            "version_description": f"model version {bundle.version}",
            "artifact_uri": self.archives.folder(bundle.slot),
            "container_spec": {
                "image_uri": image,
                "env": [{"name": name, "value": value} for name, value in variables.items()],
                "ports": [{"container_port": _PORT}],
                "predict_route": _PREDICT,
                "health_route": _HEALTH,
            },
        }

        def matches_bundle(version: Model) -> bool:
            spec = version.container_spec
            variables_found = {each.name: each.value for each in spec.env}
            return bundle.slot in version.version_aliases and (spec.image_uri, variables_found) == (image, variables)

        def steps() -> set[str]:
            self.cloud.wait_for(
                self.cloud.pending_operations(self.resource_name), f"the operation in progress on model {self.name}"
            )
            versions = self._versions()
            if not any(map(matches_bundle, versions)):
                parent_or_id = {"parent_model": self.resource_name} if versions else {"model_id": self.name}
                request = {"parent": self.cloud.parent, **parent_or_id, "model": model}
                operation = self.cloud.call_once(self.cloud.models.upload_model, request)
                self.cloud.wait_for([operation.operation.name], f"registering slot {bundle.slot}")
                versions = self._versions()
            return {version.version_id for version in versions if matches_bundle(version)}

        return self.cloud.with_retries(steps)

    def make_default(self, slot: str) -> None:
        """Point the alias `default` at the version of a slot."""
        for version in [each for each in self._versions() if self._slot_of(each) == slot][:1]:
            self._make_default(version)

    def remove(self, slot: str) -> list[str]:
        """Delete the versions of a slot, and with the last version the model; returns their names."""
        self.cloud.cancel(self.cloud.pending_operations(self.resource_name))
        removed = []
        for version in self._versions():
            if self._slot_of(version) == slot:
                self._delete(version.version_id)
                removed.append(f"model version {self.name}@{version.version_id}")
        return removed

    def _versions(self) -> list[Model]:
        """All versions, newest first."""
        request = {"name": self.resource_name}
        if (model := self.cloud.get_or_none(self.cloud.models.get_model, request)) is None:
            return []
        check_owner(model.labels, self.owner, f"the model {self.name}", self.cloud.parent)
        listed = self.cloud.list_all(self.cloud.models.list_model_versions, request)
        return sorted(listed, key=lambda each: int(each.version_id), reverse=True)

    def _slot_of(self, version: Model) -> str | None:
        """The slot of a version; None if somebody else added the version."""
        slot = version.artifact_uri.removeprefix(self.archives.folder(""))
        return slot if SLOT.fullmatch(slot) else None

    def _make_default(self, version: Model) -> None:
        if "default" not in version.version_aliases:
            request = {"name": f"{self.resource_name}@{version.version_id}", "version_aliases": ["default"]}
            self.cloud.call(self.cloud.models.merge_version_aliases, request)

    def _delete(self, version_id: str) -> None:
        def steps() -> None:
            self.cloud.wait_for(
                self.cloud.pending_operations(self.resource_name), f"the operation in progress on model {self.name}"
            )
            versions = {each.version_id: each for each in self._versions()}
            if (version := versions.pop(version_id, None)) is None:
                return
            if not versions:
                operation = self.cloud.call_once(self.cloud.models.delete_model, {"name": self.resource_name})
            else:
                if "default" in version.version_aliases:  # a model must always have a default version
                    self._make_default(next(iter(versions.values())))
                request = {"name": f"{self.resource_name}@{version_id}"}
                operation = self.cloud.call_once(self.cloud.models.delete_model_version, request)
            self.cloud.wait_for([operation.operation.name], f"deleting model version {self.name}@{version_id}")

        self.cloud.with_retries(steps)
