"""What is kept of a slot and needs no machine: a version in Vertex AI's model registry, an archive in a bucket.

Both stay for a rollback while the slot is in the trail.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.deployment.core.bundle import SLOT, Bundle
from bridge_assets.deployment.core.tags import OWNER, check_owner
from bridge_assets.deployment.vertexai.client import GoogleCloud

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Model
    from google.cloud.storage import Blob, Bucket

#: The name that a container looks for (`serve.container`) in the folder that AIP_STORAGE_URI names.
ARCHIVE = "bundle.tar.gz"

#: Where the container listens and what it is asked; Vertex AI tells it by AIP_HTTP_PORT, AIP_PREDICT_ROUTE and
#: AIP_HEALTH_ROUTE.
_PORT, _PREDICT, _HEALTH = 8080, "/predict", "/health"


@dataclass(frozen=True)
class Archives:
    """The archives of one endpoint, `gs://bucket/folder/<slot>/bundle.tar.gz`.

    Attributes
    ----------
    cloud : GoogleCloud
    owner : str
        In the metadata of each object. What carries another one, or none, is never touched.
    uri : str
        gs://bucket/folder.
    """

    cloud: GoogleCloud
    owner: str
    uri: str

    def folder(self, slot: str) -> str:
        return f"{self.uri}/{slot}"

    def file(self, slot: str) -> str:
        return f"{self.folder(slot)}/{ARCHIVE}"

    def slots(self) -> set[str]:
        """Slots that have an archive of ours."""
        prefix = self._path(self.folder(""))
        listed = self.cloud.tried(lambda: list(self._bucket.list_blobs(prefix=prefix, **self._once)))
        ours = [blob.name.removeprefix(prefix) for blob in listed if (blob.metadata or {}).get(OWNER) == self.owner]
        slots = [name.removesuffix(f"/{ARCHIVE}") for name in ours]
        return {slot for slot in slots if SLOT.fullmatch(slot)}

    def put(self, slot: str, archive: bytes, digest: str) -> None:
        """Upload an archive, unless these very bytes lie there.

        Parameters
        ----------
        slot : str
        archive : bytes
        digest : str
            Its SHA-256, which the metadata shows to people. What is compared is the CRC32C that the service computed.

        Raises
        ------
        NotOurs
            If there is an object of that name that is somebody else's.
        """
        import google_crc32c

        checksum = base64.b64encode(google_crc32c.Checksum(archive).digest()).decode("ascii")
        if (there := self._found(slot)) is not None and there.crc32c == checksum:
            return

        def upload() -> None:
            blob = self._bucket.blob(self._path(self.file(slot)))
            blob.metadata = {OWNER: self.owner, "sha256": digest}
            blob.upload_from_string(archive, "application/gzip", checksum="crc32c", **self._once)

        self.cloud.tried(upload)

    def remove(self, slot: str) -> list[str]:
        """Remove the archive of a slot; its name, where there was one."""
        from google.api_core.exceptions import NotFound

        if (blob := self._found(slot)) is None:
            return []
        with suppress(NotFound):  # gone at the first try, whose answer was lost
            self.cloud.tried(lambda: blob.delete(**self._once))
        return [self.file(slot)]

    def _found(self, slot: str) -> Blob | None:
        blob = self.cloud.tried(lambda: self._bucket.get_blob(self._path(self.file(slot)), **self._once))
        if blob is not None:
            check_owner(blob.metadata or {}, self.owner, "the object", self.file(slot))
        return blob

    @property
    def _bucket(self) -> Bucket:
        return self.cloud.storage.bucket(self.uri.split("/")[2])

    @property
    def _once(self) -> dict[str, Any]:
        return {"retry": None, "timeout": self.cloud.patience.request}

    @staticmethod
    def _path(uri: str) -> str:
        return uri.split("/", 3)[3]


@dataclass(frozen=True)
class Registry:
    """The model of one endpoint in the registry; a slot is a version of it, with the slot as an alias.

    Attributes
    ----------
    cloud : GoogleCloud
    owner : str
    name : str
        Of the model.
    archives : Archives
        A version belongs to the slot whose folder there it was uploaded from.
    """

    cloud: GoogleCloud
    owner: str
    name: str
    archives: Archives

    @property
    def path(self) -> str:
        return f"{self.cloud.parent}/models/{self.name}"

    def slots(self) -> set[str]:
        """Slots that have a version. Raises NotOurs where the model is somebody else's."""
        return {slot for version in self._versions() if (slot := self._slot(version))}

    def put(self, bundle: Bundle, image: str, labels: dict[str, str]) -> set[str]:
        """Register a bundle with an image, where it is not; ids of the versions that are just that."""
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

        def just_that(version: Model) -> bool:
            spec = version.container_spec
            said = {each.name: each.value for each in spec.env}
            return bundle.slot in version.version_aliases and (spec.image_uri, said) == (image, variables)

        def steps() -> set[str]:
            self.cloud.wait(self.cloud.pending(self.path), f"what is under way on model {self.name}")
            versions = self._versions()
            if not any(map(just_that, versions)):
                where = {"parent_model": self.path} if versions else {"model_id": self.name}
                request = {"parent": self.cloud.parent, **where, "model": model}
                made = self.cloud.once(self.cloud.models.upload_model, request)
                self.cloud.wait([made.operation.name], f"registering slot {bundle.slot}")
                versions = self._versions()
            return {version.version_id for version in versions if just_that(version)}

        return self.cloud.tried(steps)

    def make_default(self, slot: str) -> None:
        """Let the alias `default` name the version of a slot."""
        for version in [each for each in self._versions() if self._slot(each) == slot][:1]:
            self._make_default(version)

    def remove(self, slot: str) -> list[str]:
        """Delete the versions of a slot; their names. With the last version goes the model."""
        self.cloud.cancel(self.cloud.pending(self.path))
        removed = []
        for version in self._versions():
            if self._slot(version) == slot:
                self._delete(version.version_id)
                removed.append(f"model version {self.name}@{version.version_id}")
        return removed

    def _versions(self) -> list[Model]:
        """All versions, the newest first."""
        request = {"name": self.path}
        if (model := self.cloud.found(self.cloud.models.get_model, request)) is None:
            return []
        check_owner(model.labels, self.owner, f"the model {self.name}", self.cloud.parent)
        listed = self.cloud.listed(self.cloud.models.list_model_versions, request)
        return sorted(listed, key=lambda each: int(each.version_id), reverse=True)

    def _slot(self, version: Model) -> str | None:
        """None where somebody else added the version."""
        slot = version.artifact_uri.removeprefix(self.archives.folder(""))
        return slot if SLOT.fullmatch(slot) else None

    def _make_default(self, version: Model) -> None:
        if "default" not in version.version_aliases:
            request = {"name": f"{self.path}@{version.version_id}", "version_aliases": ["default"]}
            self.cloud.ask(self.cloud.models.merge_version_aliases, request)

    def _delete(self, version_id: str) -> None:
        def steps() -> None:
            self.cloud.wait(self.cloud.pending(self.path), f"what is under way on model {self.name}")
            versions = {each.version_id: each for each in self._versions()}
            if (version := versions.pop(version_id, None)) is None:
                return
            if not versions:
                gone = self.cloud.once(self.cloud.models.delete_model, {"name": self.path})
            else:
                if "default" in version.version_aliases:  # a model is never without one
                    self._make_default(next(iter(versions.values())))
                request = {"name": f"{self.path}@{version_id}"}
                gone = self.cloud.once(self.cloud.models.delete_model_version, request)
            self.cloud.wait([gone.operation.name], f"deleting model version {self.name}@{version_id}")

        self.cloud.tried(steps)
