"""Where configuration, the dbt project and the other files of a project are found.

Three situations, one rule each:

- in a folder with `configs/data_config.yaml` (`bridge-assets init` writes one): its files, and paths relative to it;
- in a checkout, run from anywhere else: the checkout's files, and paths relative to the checkout;
- installed from a wheel, in a folder without `configs/`: the defaults inside the package, and paths relative to the
  working directory. Nothing is ever written into the package.

`BRIDGE_ASSETS_CONFIGS` names another configuration folder; paths are then relative to the folder that holds it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

#: Set to use another configuration folder than `configs/` in the working directory or next to the package.
CONFIG_FOLDER_VARIABLE = "BRIDGE_ASSETS_CONFIGS"

_CHECKOUT = Path(__file__).parents[2]
#: What setup.py puts into a wheel: `configs/`, `dbt_project/` and `workspace.yaml`, arranged as in a checkout.
_PACKAGED = Path(__file__).parents[1] / "default_project"
_DATA_CONFIG = Path("configs", "data_config.yaml")


def config_folder() -> Path:
    """The folder of the yaml files: `BRIDGE_ASSETS_CONFIGS`, else `configs/` here, else the one that ships."""
    if named := os.environ.get(CONFIG_FOLDER_VARIABLE):
        return Path(named).absolute()
    if (Path.cwd() / _DATA_CONFIG).is_file():
        return Path.cwd() / "configs"
    return shipped_project() / "configs"


def project_folder() -> Path:
    """The folder that relative paths of the configuration start from."""
    folder = config_folder().parent
    return Path.cwd() if folder == _PACKAGED else folder


def shipped_project() -> Path:
    """The project files that came with this code: those of the checkout, or those inside the installed package."""
    return _CHECKOUT if (_CHECKOUT / _DATA_CONFIG).is_file() else _PACKAGED


def project_file(relative: str | Path) -> Path:
    """A file or folder of the project, or the one that ships where the project has none.

    Parameters
    ----------
    relative : str or Path
        Such as `configs/k8s`. An absolute path is returned as it is.

    Returns
    -------
    Path
        The path in the project folder where it exists, or where no such file ships.
    """
    here, shipped = project_folder() / relative, shipped_project() / relative
    return shipped if not here.exists() and shipped.exists() else here


def config_file(name: str) -> Path:
    """A file of the configuration folder, or the one that ships where that folder has none."""
    here = config_folder() / name
    return here if here.exists() else shipped_project() / "configs" / name


def workspace_file() -> Path:
    """`workspace.yaml`, which tells `dagster dev` what to load."""
    return project_file("workspace.yaml")


def dbt_project_folder() -> Path:
    """The dbt project of this code. SQL and Python belong together, so another folder's project is never used."""
    return shipped_project() / "dbt_project"


def dbt_target_folder(home: Path) -> Path:
    """The folder that dbt parses this project into.

    Parameters
    ----------
    home : Path
        `home_folder` of the data settings.

    Returns
    -------
    Path
        `dbt_project/target` in a checkout. Installed: a folder in `home`, named by the digest of the project's files,
        so that an upgrade of the package never meets the manifest of the version before.
    """
    project = dbt_project_folder()
    if project.parent != _PACKAGED:
        return project / "target"
    content = hashlib.sha256()
    for path in sorted(path for path in project.rglob("*") if path.is_file()):
        content.update(path.relative_to(project).as_posix().encode() + b"\0" + path.read_bytes())
    return home / "dbt" / f"parsed-{content.hexdigest()[:12]}"
