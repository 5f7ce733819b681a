"""The dbt project in Dagster: where it is, how it is prepared and called, and how its models become assets.

`dagster-dbt project prepare-and-package --file bridge_assets/orchestration/dbt.py` finds the project here under the
name `DBT_PROJECT`, which is computed when it is accessed: importing this module reads nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject

from bridge_assets.file_lock import file_lock
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.metadata import display
from bridge_assets.settings import DataSettings, ModelSettings, dbt_project_folder, dbt_target_folder

#: Selects the models that a training run needs, and those that report on its scores.
INVENTORY_SELECTION, REPORTING_SELECTION = "tag:inventory", "tag:reporting"


def _environment_executable(command: str) -> str:
    """A command of this environment, whether or not the environment is activated."""
    executable = Path(sys.executable).parent / command
    return str(executable) if executable.exists() else command


def __getattr__(name: str) -> DbtProject:
    if name == "DBT_PROJECT":
        return prepared_dbt_project(DataSettings.load().home_folder)
    raise AttributeError(f"module {__name__} has no attribute {name}")


def __dir__() -> list[str]:
    return sorted([*globals(), "DBT_PROJECT"])


def prepared_dbt_project(home: Path) -> DbtProject:
    """The dbt project, with a manifest that is newer than its models, macros and tests.

    Parameters
    ----------
    home : Path
        `home_folder` of the data settings; an installed package keeps the manifest there.
    """
    # dbt's own telemetry; dbt_project.yml turns it off too, but is read after the first event.
    os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "False")
    project = DbtProject(project_dir=dbt_project_folder(), target_path=dbt_target_folder(home))
    if _is_manifest_stale(project.manifest_path, Path(project.project_dir)):
        # `make setup` builds the manifest. If it is missing or older than an edit, loading waits for one `dbt parse`
        # instead of failing with a stack trace.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        project.preparer.prepare(project)
    return project


def _is_manifest_stale(manifest: Path, project: Path) -> bool:
    if not manifest.exists():
        return True
    sources = (path for folder in ("models", "macros", "tests") for path in (project / folder).rglob("*.*"))
    return any(path.stat().st_mtime > manifest.stat().st_mtime for path in (project / "dbt_project.yml", *sources))


def dbt_resource(project: DbtProject) -> DbtCliResource:
    return DbtCliResource(project_dir=project, dbt_executable=_environment_executable("dbt"))


@contextmanager
def warehouse_lock(data: DataSettings, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Make this process the only writer of the DuckDB file; other runs wait.

    A lock on a file instead of a Dagster pool: the pool slot of a killed run would stay claimed until someone freed it,
    while a lock ends with its process.
    """
    lock = data.warehouse.with_name(f".{data.warehouse.name}.lock")
    with file_lock(lock, on_wait=lambda holder: on_wait(f"Waiting for process {holder} to write {data.warehouse}")):
        yield


def dbt_arguments(data: DataSettings, model: ModelSettings) -> list[str]:
    """Arguments of `dbt build`, with paths and settings passed as variables.

    The unit tests of the models are excluded: they belong to the test suite.
    """
    variables = {
        "lake": str(data.lake),
        "warehouse": str(data.warehouse),
        "horizon_months": model.horizon_months,
    }
    return ["build", "--exclude-resource-type", "unit_test", "--vars", json.dumps(variables)]


class BridgeDbtTranslator(DagsterDbtTranslator):
    """dbt models as assets, with owners and kinds like all other assets; their sources are the Python assets."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        if unique_id.startswith("model."):
            tags = manifest["nodes"][unique_id]["tags"]
            spec = spec.replace_attributes(
                group_name=groups.REPORTING if "reporting" in tags else groups.WAREHOUSE,
                owners=display.DATA_OWNERS,
                kinds={"dbt", "duckdb"},
                tags={},
            )
        return spec
