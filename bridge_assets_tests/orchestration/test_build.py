"""Importing the orchestration modules reads nothing; `build_definitions` reads the settings and accepts resources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from bridge_assets.errors import SettingsError
from bridge_assets.orchestration.build import build_definitions
from bridge_assets.orchestration.resources import Platform

PROJECT = Path(__file__).parents[2]

#: Imports every module under orchestration, and prints the files opened and folders listed below the watched folders.
IMPORT_EVERYTHING = """
import os, pkgutil, sys
watched, touched = sys.argv[1:], set()
def audit(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        touched.update(path for folder in watched if path == folder or path.startswith(folder + os.sep))
sys.addaudithook(audit)
import bridge_assets.orchestration as package
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    __import__(module.name)
print(*sorted(touched), sep="\\n")
print(len([name for name in sys.modules if name.startswith(package.__name__)]), "modules")
"""


@pytest.fixture
def broken_configs(tmp_path: Path) -> Path:
    """A folder whose configuration files are not YAML."""
    folder = tmp_path / "configs"
    folder.mkdir()
    for name in ("data_config.yaml", "model_config.yaml", "environment.yaml"):
        (folder / name).write_text("source: [sample\n")
    return folder


def test_importing_the_modules_reads_no_settings_no_source_and_no_dbt_project(
    broken_configs: Path, tmp_path: Path
) -> None:
    source = tmp_path / "nbi"
    source.mkdir()
    (source / "NBI_2016.txt").write_text("")
    environment = os.environ | {
        "BRIDGE_ASSETS_CONFIGS": str(broken_configs),
        "BRIDGE_ASSETS_DATA__SOURCE": str(source),
        "PYTHONPATH": str(PROJECT),
    }
    watched = [str(folder) for folder in (broken_configs, source, PROJECT / "configs", PROJECT / "dbt_project")]
    imported = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING, *watched],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert imported.returncode == 0, imported.stderr
    *touched, count = imported.stdout.strip().splitlines()
    assert [path for path in touched if path] == []
    assert int(count.split()[0]) > 30


def test_a_broken_configuration_file_is_reported_when_the_definitions_are_built(broken_configs: Path) -> None:
    with pytest.raises(SettingsError, match=r"data_config\.yaml: this is not YAML"):
        build_definitions(resources={"platform": Platform(config_folder=str(broken_configs))})


def test_the_platform_resource_can_be_replaced(tmp_path: Path) -> None:
    """Partitions, endpoints and paths follow the configuration folder of the given resource."""
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "data_config.yaml").write_text("source: nbi\nsurvey_years: {first: 2010, last: 2012}\n")
    (configs / "environment.yaml").write_text("sagemaker: {enabled: true}\n")
    platform = Platform(config_folder=str(configs))
    definitions = build_definitions(resources={"platform": platform})
    assert platform.data.home_folder == tmp_path / "var"
    assert platform.data.source_folder == tmp_path / "nbi"
    graph = definitions.resolve_asset_graph()
    for key in ("nbi_files", "raw_bridges", "rejected_records", "bridge_features", "bridge_predictions"):
        partitions = graph.get(dg.AssetKey(key)).partitions_def
        assert partitions is not None
        assert partitions.get_partition_keys() == ["2010", "2011", "2012"]
        assert graph.get(dg.AssetKey(key)).backfill_policy == dg.BackfillPolicy.single_run()
    full = definitions.resolve_job_def("full_pipeline").asset_layer.executable_asset_keys
    assert dg.AssetKey("sagemaker_endpoint") in full
    assert dg.AssetKey("azureml_endpoint") not in full
    smoke = definitions.resolve_job_def("smoke_checks").asset_layer.asset_graph
    assert {key.asset_key.to_user_string() for key in smoke.asset_check_keys} == {
        "local_endpoint",
        "sagemaker_endpoint",
    }


def test_a_resource_that_is_not_a_platform_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a Platform, found str"):
        build_definitions(resources={"platform": "configs"})


def test_dagster_dbt_finds_the_project_in_the_module(tmp_path: Path) -> None:
    from dagster._core.code_pointer import load_python_file
    from dagster._core.definitions.module_loaders.utils import find_objects_in_module_of_types
    from dagster_dbt import DbtProject

    file = PROJECT / "bridge_assets" / "orchestration" / "dbt.py"
    contents = load_python_file(str(file), working_directory=None, add_uuid_suffix=True)
    [project] = find_objects_in_module_of_types(contents, types=DbtProject)
    assert Path(project.project_dir) == PROJECT / "dbt_project"
