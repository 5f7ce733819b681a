"""The registry in MLflow: one run per version, its files as plain artifacts, and aliases such as `champion`.

No MLflow flavor is used for writing, because flavors write pickles. The folder of the version is registered as is;
beside its files stand those with which MLflow loads it (`mlflow_model`).
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from bridge_assets.data.sources.local_copies import redact_url
from bridge_assets.errors import RegistryError
from bridge_assets.registry import mlflow_run
from bridge_assets.registry.base import (
    PORTABLE_TAG_PREFIXES,
    RESTORE_HINT,
    RegisteredVersion,
    content_digest,
    file_digests,
    validate_files,
    validate_version,
)
from bridge_assets.registry.mlflow_model import loader_module, log_mlflow_model
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.storage import digest, private_file, private_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowModelVersion

    from bridge_assets.settings import MlflowSettings

#: Tag of a registered version that names the model version. `bridge_assets_<stage or file>` holds the digest of a stage
#: or of a file that belongs to it; `FILES_TAG` holds the digests of all files as JSON.
VERSION_TAG = "bridge_assets_version"
FILES_TAG = "bridge_assets_files"
CONTENT_TAG = "bridge_assets_content"

#: Tag of a registered version that names the module with which MLflow loads it; an older release set none.
LOADER_TAG = "bridge_assets_loader"

#: Folder of the artifacts in the platform's home.
ARTIFACTS = "mlartifacts"

#: User name and password in an address.
_CREDENTIALS = re.compile(r"//[^/@\s]+@")

#: MLflow's own limit on the description of a version.
_MAX_DESCRIPTION = 5000


class MlflowRegistry:
    """Versions of one registered model in an MLflow server or database.

    Parameters
    ----------
    settings : MlflowSettings
    home : Path
        With a database, artifacts are stored in `<home>/mlartifacts`; a server stores them itself.
    name : str
        Name of the registered model.
    """

    def __init__(self, settings: MlflowSettings, home: Path, name: str) -> None:
        self.name = name
        self._settings, self._home = settings, home

    @property
    def address(self) -> str:
        """The address without credentials, for messages."""
        return redact_url(self._settings.uri(self._home))

    @cached_property
    def client(self) -> MlflowClient:
        mlflow = mlflow_run.import_mlflow()
        self._home.mkdir(parents=True, exist_ok=True)
        uri = self._settings.uri(self._home)
        if uri.startswith("sqlite:///") and ":memory:" not in uri:
            # SQLite gives its journals the permissions of the database.
            private_file(Path(uri.removeprefix("sqlite:///").partition("?")[0]))
        return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)

    def versions(self) -> list[RegisteredVersion]:
        """Every version that this project registered, oldest first."""
        with self._translate_errors():
            found = self.client.search_model_versions(f"name = '{self.name}'")
        ours = [version for version in found if FILES_TAG in version.tags]
        return [
            self._to_registered_version(version) for version in sorted(ours, key=lambda version: int(version.version))
        ]

    def aliases(self) -> dict[str, RegisteredVersion]:
        """The version that each alias points at; versions that bridge_assets did not register have no files."""
        from mlflow.exceptions import MlflowException

        with self._translate_errors():
            try:
                aliases = self.client.get_registered_model(self.name).aliases
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return {}
                raise
            versions = {number: self.client.get_model_version(self.name, number) for number in set(aliases.values())}
        return {alias: self._to_registered_version(versions[number]) for alias, number in aliases.items()}

    def register(self, model_version: ModelVersion, tags: Mapping[str, str] | None = None) -> RegisteredVersion:
        """See `base.Registry.register`."""
        files = file_digests(model_version.folder)
        with self._translate_errors():
            registered = self._find(model_version.version, files)
            if registered is None:
                experiment = self._experiment_id()
                with self._active_run(experiment, model_version, content_digest(files)) as run_id:
                    mlflow_run.log_model_version(self.client, run_id, model_version)
                    self._upload(run_id, model_version, files)
                    # Another process may have registered it in the meantime.
                    registered = self._find(model_version.version, files) or self._create(run_id, model_version, files)
            else:
                self._update_loader(registered, model_version)
            self._close_artifacts()
            for key, value in (tags or {}).items():
                if registered.tags.get(key) != value:
                    self.client.set_model_version_tag(self.name, str(registered.version_number), key, value)
        return self._reload(registered) if tags else registered

    def set_alias(self, alias: str, registered: RegisteredVersion) -> None:
        """See `base.Registry.set_alias`."""
        current = self.aliases().get(alias)
        if current is None or current.version_number != registered.version_number:
            with self._translate_errors():
                self.client.set_registered_model_alias(self.name, alias, str(registered.version_number))

    def download_file(self, registered: RegisteredVersion, file: str, destination: Path) -> None:
        """See `base.Registry.download_file`."""
        with self._translate_errors():
            if file not in {entry.path for entry in self.client.list_artifacts(registered.run_id)}:
                raise RegistryError(
                    f"{file} of model version {registered.version} is missing", where=self.address, do=RESTORE_HINT
                )
            self._download(registered.run_id, file, destination)

    def _experiment_id(self) -> str:
        settings, client = self._settings, self.client
        found = client.get_experiment_by_name(settings.experiment)
        if self._is_server:  # it stores artifacts itself
            return found.experiment_id if found else client.create_experiment(settings.experiment)
        folder = (self._home / ARTIFACTS).resolve()
        self._close_artifacts()
        if found is None:
            return client.create_experiment(settings.experiment, artifact_location=folder.as_uri())
        location = urlparse(found.artifact_location)
        if location.scheme not in ("", "file") or not Path(unquote(location.path)).resolve().is_relative_to(folder):
            raise RegistryError(
                f"MLflow experiment {settings.experiment} stores its artifacts in {found.artifact_location}, not in "
                f"{folder}",
                why="The experiment was created elsewhere, or the home folder was moved",
                do="set another `experiment` in configs/mlflow_config.yaml, or move the home folder back",
            )
        return found.experiment_id

    def _close_artifacts(self) -> None:
        """Close the folder of the artifacts to other users; MLflow writes there with the permissions of the process."""
        if not self._is_server:
            private_folder(self._home / ARTIFACTS)

    @property
    def _is_server(self) -> bool:
        return urlparse(self._settings.uri(self._home)).scheme.startswith("http")

    @contextmanager
    def _active_run(self, experiment: str, model_version: ModelVersion, content: str) -> Iterator[str]:
        """An MLflow run that ends as FINISHED, FAILED, or KILLED if it was interrupted.

        Resumes a run that was killed while it uploaded the same content.
        """
        tags = {VERSION_TAG: model_version.version, CONTENT_TAG: content}
        same = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
        unfinished_runs = self.client.search_runs(
            [experiment], f"{same} and attributes.status != 'FAILED' and attributes.status != 'FINISHED'", max_results=1
        )
        if unfinished_runs:
            run_id = unfinished_runs[0].info.run_id
        else:
            run_id = self.client.create_run(experiment, run_name=model_version.version, tags=tags).info.run_id
        status = "KILLED"
        try:
            yield run_id
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            self.client.set_terminated(run_id, status)

    def _upload(self, run_id: str, model_version: ModelVersion, files: Mapping[str, str]) -> None:
        """Upload the files that are missing or damaged, and read every upload back."""
        uploaded = {entry.path for entry in self.client.list_artifacts(run_id)}
        for name, expected in files.items():
            if name in uploaded and self._remote_digest(run_id, name) == expected:
                continue
            self.client.log_artifact(run_id, str(model_version.file(name)))
            if (found := self._remote_digest(run_id, name)) != expected:
                raise RegistryError(
                    f"{name} of model version {model_version.version} was damaged during the upload",
                    where=self.address,
                    why=f"Its SHA-256 is {found[:12]} there and {expected[:12]} here. Nothing was registered",
                    do="check the registry's disk and the network, then register or push the version again",
                )

    def _update_loader(self, registered: RegisteredVersion, model_version: ModelVersion) -> None:
        """Replace what MLflow loads, if another release wrote it."""
        number = str(registered.version_number)
        if self.client.get_model_version(self.name, number).tags.get(LOADER_TAG) != loader_module():
            log_mlflow_model(self.client, registered.run_id, model_version)
            self.client.set_model_version_tag(self.name, number, LOADER_TAG, loader_module())

    def _remote_digest(self, run_id: str, name: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / name
            self._download(run_id, name, copy)
            return digest(copy)

    def _download(self, run_id: str, file: str, destination: Path) -> None:
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".") as folder:
            Path(self.client.download_artifacts(run_id, file, folder)).replace(destination)

    def _create(self, run_id: str, model_version: ModelVersion, files: Mapping[str, str]) -> RegisteredVersion:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        digests = {**model_version.stages, **model_version.manifest.get("files", {})}
        tags = {
            VERSION_TAG: model_version.version,
            CONTENT_TAG: content_digest(files),
            FILES_TAG: json.dumps(dict(files), sort_keys=True),
            LOADER_TAG: loader_module(),
            **{f"bridge_assets_{name}": value for name, value in digests.items()},
        }
        card = model_version.file("model_card.md")
        description = card.read_text(encoding="utf-8")[:_MAX_DESCRIPTION] if card.is_file() else None
        source = self.client.get_run(run_id).info.artifact_uri or ""
        return self._to_registered_version(
            self.client.create_model_version(
                self.name, source=source, run_id=run_id, tags=tags, description=description
            )
        )

    def _find(self, version: str, files: Mapping[str, str]) -> RegisteredVersion | None:
        return next((each for each in self.versions() if each.version == version and each.files == files), None)

    def _reload(self, registered: RegisteredVersion) -> RegisteredVersion:
        with self._translate_errors():
            return self._to_registered_version(self.client.get_model_version(self.name, str(registered.version_number)))

    def _to_registered_version(self, version: MlflowModelVersion) -> RegisteredVersion:
        uri = f"models:/{version.name}/{version.version}"
        where = f"{self.address} {uri}"
        try:
            files = json.loads(version.tags.get(FILES_TAG, "{}"))
        except ValueError:
            files = None
        return RegisteredVersion(
            version.name,
            int(version.version),
            version.run_id or "",
            uri,
            validate_version(version.tags.get(VERSION_TAG, f"number_{version.version}"), where),
            validate_files(files, where),
            {key: value for key, value in version.tags.items() if key.startswith(PORTABLE_TAG_PREFIXES)},
        )

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise MLflow's own errors as RegistryError, with the registry and the remedy."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            message = _CREDENTIALS.sub("//", " ".join(str(error).split()))
            # Not `from error`: its message contains the address with its password.
            raise RegistryError(
                "the MLflow registry did not accept the request",
                where=self.address,
                why=f"MLflow says: {message[:500].rstrip('.')}",
                do="check that the registry is running, its address is right and its files are intact, then try again",
            ) from None
