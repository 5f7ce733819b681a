"""Model versions in MLflow: one run a version, its files as plain artifacts, an alias that says what it is for.

No MLflow flavour is used: those write pickles. What is registered is the folder of the version as it stands.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from bridge_assets.models.candidate import STAGE_FILES, Candidate
from bridge_assets.models.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from bridge_assets.settings import MlflowSettings

#: Tag of a registered version that names the candidate; the digest of each stage and of each file beside it stands in
#: `bridge_assets_<stage or file>`.
VERSION_TAG = "bridge_assets_version"

#: Folder of the artifacts, inside the platform's home.
ARTIFACTS = "mlartifacts"

_EVALUATION = "evaluation.json"


@dataclass(frozen=True, slots=True)
class Registered:
    """A version in the registry.

    Attributes
    ----------
    name : str
        Of the registered model.
    version_number : int
        The registry's own count, from 1.
    run_id : str
        The run that logged it.
    uri : str
        `models:/<name>/<version_number>`.
    """

    name: str
    version_number: int
    run_id: str
    uri: str


def register_version(
    candidate: Candidate, mlflow_settings: MlflowSettings, home: Path, name: str, alias: str = "challenger"
) -> Registered:
    """Register a complete model version and point an alias at it.

    Registering the same version again finds it and only sees to the alias. A version of which a file was made anew
    with other bytes is another one to the registry.

    Parameters
    ----------
    candidate : Candidate
        With all its stages; each is compared with the manifest first.
    mlflow_settings : MlflowSettings
    home : Path
        The platform's home; with SQLite, the database and the artifacts lie in it.
    name : str
        Of the registered model.
    alias : str

    Returns
    -------
    Registered

    Raises
    ------
    CandidateError
        If a stage is missing or its bytes changed. Nothing is registered then.
    RegistryError
        If the experiment keeps its artifacts somewhere else than in `home`.
    """
    for stage in STAGE_FILES:
        candidate.verify(stage)
    client = _client(mlflow_settings, home)
    registered = _find(client, name, candidate)
    if registered is None:
        experiment = _experiment(client, mlflow_settings, home)
        with _run(client, experiment, candidate) as run_id:
            _log(client, run_id, candidate)
            registered = _create(client, run_id, candidate, name)
    _point(client, registered, alias)
    return registered


def promote(
    candidate: Candidate, mlflow_settings: MlflowSettings, home: Path, name: str, alias: str = "champion"
) -> Registered:
    """Point an alias at a registered candidate; it leaves the version it pointed at before.

    Raises
    ------
    RegistryError
        If the candidate, as it stands now, is not registered.
    """
    client = _client(mlflow_settings, home)
    registered = _find(client, name, candidate)
    if registered is None:
        raise RegistryError(
            f"model version {candidate.version} is not registered as {name}, so it cannot become its {alias}. "
            f"What to do: materialise registered_model for this version"
        )
    _point(client, registered, alias)
    return registered


def find(mlflow_settings: MlflowSettings, home: Path, name: str, alias: str) -> Registered | None:
    """The version an alias points at, or None where it points at none."""
    return _find_alias(_client(mlflow_settings, home), name, alias)


def _mlflow() -> Any:
    """MLflow, imported with its reporting of usage switched off and its chatter about database migrations silent."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    import mlflow

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    return mlflow


def _client(settings: MlflowSettings, home: Path) -> MlflowClient:
    mlflow = _mlflow()
    home.mkdir(parents=True, exist_ok=True)
    return mlflow.MlflowClient(tracking_uri=settings.uri(home), registry_uri=settings.uri(home))


def _experiment(client: MlflowClient, settings: MlflowSettings, home: Path) -> str:
    found = client.get_experiment_by_name(settings.experiment)
    if urlparse(settings.uri(home)).scheme.startswith("http"):  # a server decides where its artifacts lie
        return found.experiment_id if found else client.create_experiment(settings.experiment)
    folder = (home / ARTIFACTS).resolve()
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
def _run(client: MlflowClient, experiment: str, candidate: Candidate) -> Iterator[str]:
    """A run that ends as what happened in it: FINISHED, FAILED, or KILLED where somebody stopped it."""
    tags = {VERSION_TAG: candidate.version}
    run_id = client.create_run(experiment, run_name=candidate.version, tags=tags).info.run_id
    status = "KILLED"
    try:
        yield run_id
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        client.set_terminated(run_id, status)


def _log(client: MlflowClient, run_id: str, candidate: Candidate) -> None:
    from mlflow.entities import Metric, Param

    manifest = candidate.manifest
    params = _flat({"recipe": manifest["recipe"], "made_from": manifest["made_from"]})
    metrics = {}
    if candidate.file(_EVALUATION).is_file():
        metrics = _flat(json.loads(candidate.file(_EVALUATION).read_text(encoding="utf-8")))
    client.log_batch(
        run_id,
        params=[Param(key, str(value)) for key, value in params.items()],
        metrics=[
            Metric(key, float(value), timestamp=0, step=0)
            for key, value in metrics.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ],
    )
    for path in sorted(candidate.folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):  # a dot begins what is still being written
            client.log_artifact(run_id, str(path))


def _create(client: MlflowClient, run_id: str, candidate: Candidate, name: str) -> Registered:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = client.get_run(run_id).info.artifact_uri or ""
    return _registered(client.create_model_version(name, source=source, run_id=run_id, tags=_tags(candidate)))


def _find(client: MlflowClient, name: str, candidate: Candidate) -> Registered | None:
    tags = _tags(candidate)
    same = [
        version
        for version in client.search_model_versions(f"name = '{name}' and tags.{VERSION_TAG} = '{candidate.version}'")
        if all(version.tags.get(key) == value for key, value in tags.items())
    ]
    return _registered(min(same, key=lambda version: int(version.version))) if same else None


def _point(client: MlflowClient, registered: Registered, alias: str) -> None:
    if _find_alias(client, registered.name, alias) != registered:
        client.set_registered_model_alias(registered.name, alias, str(registered.version_number))


def _find_alias(client: MlflowClient, name: str, alias: str) -> Registered | None:
    from mlflow.exceptions import MlflowException

    try:
        return _registered(client.get_model_version_by_alias(name, alias))
    except MlflowException as error:
        # An unknown alias is INVALID_PARAMETER_VALUE to the SQL store, an unknown model RESOURCE_DOES_NOT_EXIST.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _tags(candidate: Candidate) -> dict[str, str]:
    digests = {**candidate.stages, **candidate.manifest.get("files", {})}
    return {VERSION_TAG: candidate.version, **{f"bridge_assets_{name}": value for name, value in digests.items()}}


def _registered(version: ModelVersion) -> Registered:
    return Registered(
        version.name, int(version.version), version.run_id or "", f"models:/{version.name}/{version.version}"
    )


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots; other values as they are."""
    flat = {}
    for key, value in values.items():
        name = f"{above}.{key}" if above else str(key)
        flat.update(_flat(value, name) if isinstance(value, Mapping) else {name: value})
    return flat
