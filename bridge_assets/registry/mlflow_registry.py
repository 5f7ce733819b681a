"""The registry in MLflow: one run a version, its files as plain artifacts, an alias that says what it is for.

No MLflow flavour writes anything: those write pickles. What is registered is the folder of the version as it stands,
and beside it an `MLmodel` that tells MLflow how to load the ONNX file, and its signature.
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

from bridge_assets.data.sources.local_copies import shown
from bridge_assets.errors import RegistryError
from bridge_assets.registry import mlflow_run
from bridge_assets.registry.base import (
    TRAVELLING_NOTES,
    Registered,
    checked_files,
    checked_version,
    content_of,
    file_digests,
)
from bridge_assets.registry.model_version import Candidate
from bridge_assets.storage import digest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowModelVersion

    from bridge_assets.settings import MlflowSettings

#: Tag of a registered version that names the model version; `bridge_assets_<stage or file>` holds the digest of each
#: stage and of each file beside it, `FILES_TAG` those of all files, as JSON.
VERSION_TAG = "bridge_assets_version"
FILES_TAG = "bridge_assets_files"
CONTENT_TAG = "bridge_assets_content"

#: Folder of the artifacts, inside the platform's home.
ARTIFACTS = "mlartifacts"

#: User and password in an address.
_CREDENTIALS = re.compile(r"//[^/@\s]+@")

#: MLflow's own limit on the description of a version.
_DESCRIPTION = 5000


class MlflowRegistry:
    """Versions of one registered model in an MLflow server or database.

    Parameters
    ----------
    settings : MlflowSettings
    home : Path
        Where the artifacts of a database lie: `<home>/mlartifacts`. A server decides for itself.
    name : str
        Of the registered model.
    """

    def __init__(self, settings: MlflowSettings, home: Path, name: str) -> None:
        self.name = name
        self._settings, self._home = settings, home

    @property
    def address(self) -> str:
        """As it may be shown: without credentials."""
        return shown(self._settings.uri(self._home))

    @cached_property
    def client(self) -> MlflowClient:
        mlflow = mlflow_run.quiet_mlflow()
        self._home.mkdir(parents=True, exist_ok=True)
        uri = self._settings.uri(self._home)
        return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)

    def versions(self) -> list[Registered]:
        """Every version that this project registered, oldest first."""
        with self._explained():
            found = self.client.search_model_versions(f"name = '{self.name}'")
        ours = [version for version in found if FILES_TAG in version.tags]
        return [self._registered(version) for version in sorted(ours, key=lambda version: int(version.version))]

    def aliases(self) -> dict[str, Registered]:
        """What each alias points at; one by a version that is not of this project has no files."""
        from mlflow.exceptions import MlflowException

        with self._explained():
            try:
                aliases = self.client.get_registered_model(self.name).aliases
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return {}
                raise
            versions = {number: self.client.get_model_version(self.name, number) for number in set(aliases.values())}
        return {alias: self._registered(versions[number]) for alias, number in aliases.items()}

    def store(self, candidate: Candidate, notes: Mapping[str, str] | None = None) -> Registered:
        """See `registered.Registry.store`."""
        files = file_digests(candidate.folder)
        with self._explained():
            registered = self._find(candidate.version, files)
            if registered is None:
                experiment = self._experiment()
                with self._run(experiment, candidate, content_of(files)) as run_id:
                    mlflow_run.describe(self.client, run_id, candidate)
                    self._upload(run_id, candidate, files)
                    # Somebody else may have registered it in the meantime.
                    registered = self._find(candidate.version, files) or self._create(run_id, candidate, files)
            for key, value in (notes or {}).items():
                if registered.notes.get(key) != value:
                    self.client.set_model_version_tag(self.name, str(registered.version_number), key, value)
        return self._again(registered) if notes else registered

    def point(self, alias: str, registered: Registered) -> None:
        """See `registered.Registry.point`."""
        there = self.aliases().get(alias)
        if there is None or there.version_number != registered.version_number:
            with self._explained():
                self.client.set_registered_model_alias(self.name, alias, str(registered.version_number))

    def read(self, registered: Registered, file: str, to: Path) -> None:
        """See `registered.Registry.read`."""
        with self._explained():
            if file not in {entry.path for entry in self.client.list_artifacts(registered.run_id)}:
                raise RegistryError(
                    f"{self.address}: {file} of model version {registered.version} is gone. Nothing was taken over. "
                    f"What to do: restore it there, or register the version again from where it was made"
                )
            self._download(registered.run_id, file, to)

    def _experiment(self) -> str:
        settings, client = self._settings, self.client
        found = client.get_experiment_by_name(settings.experiment)
        if urlparse(settings.uri(self._home)).scheme.startswith("http"):  # a server decides where its artifacts lie
            return found.experiment_id if found else client.create_experiment(settings.experiment)
        folder = (self._home / ARTIFACTS).resolve()
        if found is None:
            return client.create_experiment(settings.experiment, artifact_location=folder.as_uri())
        location = urlparse(found.artifact_location)
        if location.scheme not in ("", "file") or not Path(unquote(location.path)).resolve().is_relative_to(folder):
            raise RegistryError(
                f"MLflow experiment {settings.experiment} keeps its artifacts in {found.artifact_location}, not in "
                f"{folder}. Why: it was made elsewhere, or the home folder was moved. What to do: give another name as "
                f"`experiment` in configs/mlflow_config.yaml, or move the folder back"
            )
        return found.experiment_id

    @contextmanager
    def _run(self, experiment: str, candidate: Candidate, content: str) -> Iterator[str]:
        """A run that ends as what happened in it: FINISHED, FAILED, or KILLED where somebody stopped it. One that was
        killed while it uploaded this very content is gone on with.
        """
        tags = {VERSION_TAG: candidate.version, CONTENT_TAG: content}
        same = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
        begun = self.client.search_runs(
            [experiment], f"{same} and attributes.status != 'FAILED' and attributes.status != 'FINISHED'", max_results=1
        )
        if begun:
            run_id = begun[0].info.run_id
        else:
            run_id = self.client.create_run(experiment, run_name=candidate.version, tags=tags).info.run_id
        status = "KILLED"
        try:
            yield run_id
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            self.client.set_terminated(run_id, status)

    def _upload(self, run_id: str, candidate: Candidate, files: Mapping[str, str]) -> None:
        """Upload what is not there yet, and read back everything."""
        there = {entry.path for entry in self.client.list_artifacts(run_id)}
        for name, expected in files.items():
            if name in there and self._digest_there(run_id, name) == expected:
                continue
            self.client.log_artifact(run_id, str(candidate.file(name)))
            if (found := self._digest_there(run_id, name)) != expected:
                raise RegistryError(
                    f"{self.address}: {name} of model version {candidate.version} did not arrive as it is: its "
                    f"SHA-256 is {found[:12]} there, {expected[:12]} here. Nothing was registered. What to do: see to "
                    f"the disk or the network between here and there, then register or push it again"
                )

    def _digest_there(self, run_id: str, name: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / name
            self._download(run_id, name, copy)
            return digest(copy)

    def _download(self, run_id: str, file: str, to: Path) -> None:
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".") as folder:
            Path(self.client.download_artifacts(run_id, file, folder)).replace(to)

    def _create(self, run_id: str, candidate: Candidate, files: Mapping[str, str]) -> Registered:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        digests = {**candidate.stages, **candidate.manifest.get("files", {})}
        tags = {
            VERSION_TAG: candidate.version,
            CONTENT_TAG: content_of(files),
            FILES_TAG: json.dumps(dict(files), sort_keys=True),
            **{f"bridge_assets_{name}": value for name, value in digests.items()},
        }
        card = candidate.file("model_card.md")
        description = card.read_text(encoding="utf-8")[:_DESCRIPTION] if card.is_file() else None
        source = self.client.get_run(run_id).info.artifact_uri or ""
        return self._registered(
            self.client.create_model_version(
                self.name, source=source, run_id=run_id, tags=tags, description=description
            )
        )

    def _find(self, version: str, files: Mapping[str, str]) -> Registered | None:
        return next((each for each in self.versions() if each.version == version and each.files == files), None)

    def _again(self, registered: Registered) -> Registered:
        with self._explained():
            return self._registered(self.client.get_model_version(self.name, str(registered.version_number)))

    def _registered(self, version: MlflowModelVersion) -> Registered:
        uri = f"models:/{version.name}/{version.version}"
        where = f"{self.address} {uri}"
        try:
            files = json.loads(version.tags.get(FILES_TAG, "{}"))
        except ValueError:
            files = None
        return Registered(
            version.name,
            int(version.version),
            version.run_id or "",
            uri,
            checked_version(version.tags.get(VERSION_TAG, f"number_{version.version}"), where),
            checked_files(files, where),
            {key: value for key, value in version.tags.items() if key.startswith(TRAVELLING_NOTES)},
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """MLflow's own errors, with the registry they came from and what to do."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            said = _CREDENTIALS.sub("//", " ".join(str(error).split()))
            # Not `from error`: its message holds the address as it was given, with a password if there is one.
            raise RegistryError(
                f"{self.address}: MLflow says: {said[:500]}. What to do: see that the registry runs, that the address "
                f"is right, and that what lies in it is whole; then try again"
            ) from None
