"""Finds the configuration, the dbt project and the other files of a project.

There are three cases:

- in a folder with `configs/data_config.yaml` (`bridge-assets init` writes one): its files, and paths relative to it;
- in a checkout, run from anywhere else: the files of the checkout, and paths relative to the checkout;
- installed from a wheel, in a folder without `configs/`: the defaults inside the package, and paths relative to the
  working directory. Nothing is ever written into the package.

`BRIDGE_ASSETS_CONFIGS` selects another configuration folder; paths are then relative to its parent folder.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

#: Environment variable for a configuration folder other than `configs/` in the working directory or the checkout.
CONFIG_FOLDER_VARIABLE = "BRIDGE_ASSETS_CONFIGS"

_CHECKOUT = Path(__file__).parents[2]
#: Included in a wheel by setup.py: `configs/`, `dbt_project/` and `workspace.yaml`, arranged as in a checkout.
_PACKAGED = Path(__file__).parents[1] / "default_project"
_DATA_CONFIG = Path("configs", "data_config.yaml")


def config_folder() -> Path:
    """The folder of the YAML files: `BRIDGE_ASSETS_CONFIGS`, else `configs/` in the working directory, else shipped."""
    if folder := os.environ.get(CONFIG_FOLDER_VARIABLE):
        return Path(folder).absolute()
    if (Path.cwd() / _DATA_CONFIG).is_file():
        return Path.cwd() / "configs"
    return shipped_project() / "configs"


def project_folder() -> Path:
    """The folder to which relative paths in the configuration refer."""
    folder = config_folder().parent
    return Path.cwd() if folder == _PACKAGED else folder


def shipped_project() -> Path:
    """The project files shipped with this code: those of the checkout, or those inside the installed package."""
    return _CHECKOUT if (_CHECKOUT / _DATA_CONFIG).is_file() else _PACKAGED


def project_file(relative: str | Path) -> Path:
    """A file or folder of the project, or the shipped one if the project does not have it.

    Parameters
    ----------
    relative : str or Path
        Such as `configs/k8s`. An absolute path is returned unchanged.

    Returns
    -------
    Path
        The path in the project folder if it exists there or is not shipped; otherwise the shipped path.
    """
    own, shipped = project_folder() / relative, shipped_project() / relative
    return shipped if not own.exists() and shipped.exists() else own


def config_file(name: str) -> Path:
    """A file of the configuration folder, or the shipped one if that folder does not have it."""
    own = config_folder() / name
    return own if own.exists() else shipped_project() / "configs" / name


def workspace_file() -> Path:
    """`workspace.yaml`, the list of code locations that `dagster dev` loads."""
    return project_file("workspace.yaml")


def dbt_project_folder() -> Path:
    """The dbt project shipped with this code. SQL and Python must match, so no other dbt project is ever used."""
    return shipped_project() / "dbt_project"


def dbt_target_folder(home: Path) -> Path:
    """The folder in which dbt stores the parsed project.

    Parameters
    ----------
    home : Path
        `home_folder` of the data settings.

    Returns
    -------
    Path
        `dbt_project/target` in a checkout. For an installed package: a folder in `home`, named after the digest of the
        project files, so that an upgraded package never reads the manifest of the previous version.
    """
    project = dbt_project_folder()
    if project.parent != _PACKAGED:
        return project / "target"
    content = hashlib.sha256()
    for path in sorted(path for path in project.rglob("*") if path.is_file()):
        content.update(path.relative_to(project).as_posix().encode() + b"\0" + path.read_bytes())
    return home / "dbt" / f"parsed-{content.hexdigest()[:12]}"
