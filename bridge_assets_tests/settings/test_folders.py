"""The files of a project: its own, those of the checkout, or those inside an installed package."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge_assets.settings import DataSettings, folders

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv(folders.CONFIG_FOLDER_VARIABLE, raising=False)
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project files of an installed package, which is not in a checkout."""
    packaged = tmp_path / "site-packages" / "bridge_assets" / "default_project"
    (packaged / "configs" / "k8s").mkdir(parents=True)
    (packaged / "configs" / "data_config.yaml").write_text("sample:\n  structures: 77\n")
    (packaged / "configs" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    (packaged / "workspace.yaml").write_text("load_from: []\n")
    (packaged / "dbt_project").mkdir()
    (packaged / "dbt_project" / "dbt_project.yml").write_text("name: bridge_assets\n")
    monkeypatch.setattr(folders, "_CHECKOUT", tmp_path / "site-packages")
    monkeypatch.setattr(folders, "_PACKAGED", packaged)
    return packaged


def test_an_installed_package_reads_its_defaults_and_writes_to_the_working_directory(here: Path, package: Path) -> None:
    assert folders.config_folder() == package / "configs"
    settings = DataSettings.load()
    assert settings.sample.structures == 77
    assert settings.home_folder == here / "var"
    assert folders.workspace_file() == package / "workspace.yaml"
    assert folders.config_file("dagster.yaml") == package / "configs" / "dagster.yaml"
    assert folders.project_file("configs/k8s") == package / "configs" / "k8s"
    assert folders.dbt_project_folder() == package / "dbt_project"
    assert folders.dbt_target_folder(settings.home_folder).parent == here / "var" / "dbt"


def test_files_of_the_project_override_those_of_the_package(here: Path, package: Path) -> None:
    (here / "configs").mkdir()
    (here / "configs" / "data_config.yaml").write_text("sample:\n  structures: 88\n")
    (here / "configs" / "dagster.yaml").write_text("")
    assert DataSettings.load().sample.structures == 88
    assert folders.config_file("dagster.yaml") == here / "configs" / "dagster.yaml"
    assert folders.project_file("configs/k8s") == package / "configs" / "k8s"
    (here / "configs" / "k8s").mkdir()
    assert folders.project_file("configs/k8s") == here / "configs" / "k8s"
    assert folders.project_file("/etc/manifests.yaml") == Path("/etc/manifests.yaml")
    assert folders.project_file("not/shipped") == here / "not" / "shipped"


def test_the_dbt_project_is_that_of_the_code_not_of_the_folder(here: Path, package: Path) -> None:
    (here / "configs").mkdir()
    (here / "configs" / "data_config.yaml").touch()
    (here / "dbt_project").mkdir()
    (here / "dbt_project" / "dbt_project.yml").write_text("name: of_somebody_else\n")
    assert folders.dbt_project_folder() == package / "dbt_project"


def test_an_upgrade_of_the_package_parses_the_dbt_project_again(here: Path, package: Path) -> None:
    before = folders.dbt_target_folder(here / "var")
    assert folders.dbt_target_folder(here / "var") == before
    (package / "dbt_project" / "dbt_project.yml").write_text("name: bridge_assets\nversion: 2\n")
    assert folders.dbt_target_folder(here / "var") != before


def test_a_checkout_uses_its_own_files_from_anywhere(here: Path) -> None:
    assert folders.config_folder() == CHECKOUT / "configs"
    assert folders.project_folder() == CHECKOUT
    assert folders.dbt_project_folder() == CHECKOUT / "dbt_project"
    assert folders.dbt_target_folder(here / "var") == CHECKOUT / "dbt_project" / "target"


def test_the_environment_variable_takes_precedence(here: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = here / "elsewhere" / "conf"
    folder.mkdir(parents=True)
    monkeypatch.setenv(folders.CONFIG_FOLDER_VARIABLE, "elsewhere/conf")
    assert folders.config_folder() == folder
    assert folders.project_folder() == folder.parent
    assert folders.config_file("dagster.yaml") == package / "configs" / "dagster.yaml"
    (folder / "dagster.yaml").touch()
    assert folders.config_file("dagster.yaml") == folder / "dagster.yaml"
