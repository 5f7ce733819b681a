"""Writes a new project folder with the configuration files that a user edits, for `bridge-assets init`."""

from __future__ import annotations

from pathlib import Path

from bridge_assets.errors import SettingsError
from bridge_assets.settings.folders import shipped_project
from bridge_assets.storage import write_text

_GITIGNORE = """\
# All outputs of the platform are ignored, except the DVC pointers, which you can commit.
var/**
!var/**/
!var/**/*.dvc
!var/**/.gitignore
"""

_README = """\
# Bridge Assets

`bridge-assets run` runs the whole asset graph over the survey years of the source; `bridge-assets dev` opens the
Dagster UI on <http://127.0.0.1:3000>. Their outputs are in `var/`.

| file | sets |
|---|---|
| `configs/data_config.yaml` | where survey files come from, where outputs are written |
| `configs/model_config.yaml` | what is predicted, the forest, the limits of the gate |
| `configs/environment.yaml` | where model versions are deployed besides this machine; alerts, health, retention |
| `configs/k8s/` | the manifests of the Kubernetes endpoint |
| `configs/mlflow_config.yaml`, `configs/dvc_config.yaml` | the model registry; versions of data and models |
| `configs/dashboard_assets.yaml` | the dashboard: its address, theme, pages |
| `configs/dagster.yaml` | Dagster's own storage and run queue |
| `configs/prometheus_*.yaml`, `configs/grafana_dashboard.json` | what Prometheus scrapes, its alerts, their dashboard |

Every value can be overridden by an environment variable; each file says how. An unknown key is an error.
"""


def write_project(folder: Path) -> list[Path]:
    """Write the configuration files, `workspace.yaml`, a `.gitignore` and a `README.md` into a folder.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.

    Returns
    -------
    list of Path
        The files written, relative to the folder.

    Raises
    ------
    SettingsError
        If one of the files already exists. Nothing is written.
    StorageError
        If the folder cannot be written.
    """
    shipped = shipped_project()
    sources = [
        *shipped.glob("configs/*.yaml"),
        *shipped.glob("configs/*.json"),
        *shipped.glob("configs/k8s/**/*.yaml"),
        shipped / "workspace.yaml",
    ]
    files = {path.relative_to(shipped): path.read_text(encoding="utf-8") for path in sorted(sources)}
    files |= {Path(".gitignore"): _GITIGNORE, Path("README.md"): _README}
    if existing := [path for path in files if (folder / path).exists()]:
        raise SettingsError(
            "the project was not written",
            where=folder,
            why=f"It would overwrite {', '.join(map(str, existing))}",
            do="use a new or empty folder, or move these files away first",
        )
    for path, text in files.items():
        write_text(text, folder / path)
    return list(files)
