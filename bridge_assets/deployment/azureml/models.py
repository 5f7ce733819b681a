"""Archives of bundles as registered models of a workspace: one model per endpoint, one version of it per slot.

The SDK stores a version's archive in the workspace's blob store. Both cost next to nothing, and every deployment needs
them.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.deployment.azureml.workspace import Workspace, error_reason
from bridge_assets.deployment.core.tags import OWNER_TAG, check_owner, deployment_tags

if TYPE_CHECKING:
    from azure.ai.ml.entities import Model

#: Name of the archive in a container's AZUREML_MODEL_DIR; `serve.container` looks for it.
_ARCHIVE_NAME = "bundle.tar.gz"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegisteredModels:
    """The versions of one model.

    Attributes
    ----------
    workspace : Workspace
    name : str
        Name of the model, the same as the endpoint's.
    owner : str
        Tag of every resource; resources with another owner are never touched.
    """

    workspace: Workspace
    name: str
    owner: str

    def slots(self) -> frozenset[str]:
        """Slots with a version of ours."""
        models = self.workspace.get_or_none(lambda: list(self.workspace.client.models.list(name=self.name))) or ()
        return frozenset(str(model.version) for model in models if (model.tags or {}).get(OWNER_TAG) == self.owner)

    def find(self, slot: str) -> Model | None:
        """The version of a slot, or None. Raises OwnershipError if it belongs to somebody else."""
        model = self.workspace.get_or_none(lambda: self.workspace.client.models.get(self.name, version=slot))
        if model:
            check_owner(model.tags or {}, self.owner, f"model {self.name}, version {slot},", self.workspace.id)
        return model

    def register(self, slot: str, archive: bytes) -> Model:
        """Upload an archive and register it. The same bytes are uploaded only once."""
        from azure.ai.ml.entities import Model

        with tempfile.TemporaryDirectory() as folder:
            path, tags = Path(folder) / _ARCHIVE_NAME, deployment_tags(self.owner)
            path.write_bytes(archive)
            model = Model(name=self.name, version=slot, path=str(path), type="custom_model", tags=tags)
            return self.workspace.client.models.create_or_update(model)

    def remove(self, slot: str) -> Iterator[str]:
        """Remove a version and its archive; yields its name. If that fails, it is logged and left for the next
        deployment, because the current deployment has succeeded.
        """
        from azure.core.exceptions import AzureError

        client = self.workspace.client.models
        try:
            if (model := self.find(slot)) is None:
                return
            self._remove_archive(str(model.path))
            # The SDK has no public call for this. Archiving does not free the name.
            client._model_versions_operation.delete(self.workspace.resource_group, self.workspace.name, self.name, slot)
        except AzureError as error:
            _log.warning("Model %s, version %s, was not removed: %s", self.name, slot, error_reason(error))
        else:
            yield f"model {self.name}, version {slot}"

    def _remove_archive(self, path: str) -> None:
        from azure.ai.ml.entities import AccountKeyConfiguration, AzureBlobDatastore, SasTokenConfiguration
        from azure.core.exceptions import ResourceNotFoundError
        from azure.storage.blob import BlobClient

        match = re.search(r"/datastores/([^/]+)/paths/(.+)$", path)
        store = self.workspace.client.datastores.get(match[1], include_secrets=True) if match else None
        if match is None or not isinstance(store, AzureBlobDatastore):  # not created by `register`
            return
        credential: Any = self.workspace.credential
        match store.credentials:
            case SasTokenConfiguration(sas_token=token):
                credential = token
            case AccountKeyConfiguration(account_key=key):
                credential = key
        account = f"{store.protocol}://{store.account_name}.blob.{store.endpoint}"
        blob = BlobClient(account, str(store.container_name), match[2], credential=credential)
        with blob, suppress(ResourceNotFoundError):
            blob.delete_blob()
