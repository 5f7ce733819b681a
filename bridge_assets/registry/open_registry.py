"""Open the registry at an address.

| address | registry |
|---|---|
| `sqlite:///var/mlflow.db` | an MLflow database; its artifacts are in `mlartifacts` in the same folder |
| `http://host:5000`, `https://...` | an MLflow server |
| `postgresql://...`, `mysql://...` | an MLflow database on a server |
| `dvc:var/models` | a folder in the DVC repository of configs/dvc_config.yaml; versions are tracked and pushed |
| `/mnt/models`, `models` | a folder |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bridge_assets.data.sources.local_copies import redact_url
from bridge_assets.errors import RegistryError
from bridge_assets.registry.base import RegisteredVersion, Registry
from bridge_assets.settings import DataSettings, DvcSettings, MlflowSettings, project_folder


class RegistryNotFoundError(RegistryError):
    """A registry that must exist does not exist."""


@dataclass(frozen=True, slots=True)
class EmptyRegistry:
    """A registry that does not exist yet and would be created."""

    name: str
    address: str

    def versions(self) -> list[RegisteredVersion]:
        return []

    def aliases(self) -> dict[str, RegisteredVersion]:
        return {}


_HTTP_SCHEMES = ("http", "https")
_DATABASE_SCHEMES = ("postgresql", "postgresql+psycopg2", "mysql", "mysql+pymysql", "mssql+pyodbc")


def open_registry(address: str, name: str, *, dvc: DvcSettings | None = None, must_exist: bool = False) -> Registry:
    """Open the registry at an address.

    Parameters
    ----------
    address : str
        As in the table in this module's docstring. Relative folders are relative to the project's folder, as in the
        configuration.
    name : str
        Name of the registered model.
    dvc : DvcSettings, optional
        For `dvc:`; default: configs/dvc_config.yaml.
    must_exist : bool
        Raise instead of creating a missing database or folder: for reading.

    Raises
    ------
    RegistryError
        If the address has another form.
    RegistryNotFoundError
        If the registry must exist and does not.
    """
    scheme = urlsplit(address).scheme if "://" in address else ""
    if scheme == "sqlite":
        path = _sqlite_path(address)
        if must_exist and not path.is_file():
            raise _not_found_error(address, path)
        return _open_mlflow(f"sqlite:///{path}", path.parent, name)
    if scheme in (*_HTTP_SCHEMES, *_DATABASE_SCHEMES):
        # With a database, artifacts are stored in the platform's home; a server stores them itself.
        return _open_mlflow(address, DataSettings.load().home_folder, name)
    if scheme:
        raise RegistryError(
            f"{redact_url(address)} is not the address of a registry",
            do="use sqlite:///file, http(s)://host:port, postgresql://..., dvc:folder or a folder",
        )
    from bridge_assets.registry.folder_registry import FolderRegistry

    uses_dvc = address.startswith("dvc:")
    folder = (project_folder() / address.removeprefix("dvc:")).absolute()
    if must_exist and not folder.is_dir():
        raise _not_found_error(address, folder)
    return FolderRegistry(folder, name, (dvc or DvcSettings.load()) if uses_dvc else None)


def _open_mlflow(address: str, home: Path, name: str) -> Registry:
    from bridge_assets.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(MlflowSettings.load().model_copy(update={"tracking_uri": address}), home, name)


def _sqlite_path(address: str) -> Path:
    path = unquote(urlsplit(address).path).removeprefix("/")
    if not path:
        raise RegistryError(f"{address} does not name a file", do="use an address like sqlite:///folder/mlflow.db")
    return (project_folder() / path).absolute()


def _not_found_error(address: str, path: Path) -> RegistryNotFoundError:
    return RegistryNotFoundError(
        f"there is no registry at {redact_url(address)}", why=f"{path} does not exist", do="correct the address"
    )
