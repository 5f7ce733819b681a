"""`bridge-assets registry`: push, pull and plan from a shell."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner, Result
from support.model_versions import NAME, file_contents

from bridge_assets.cli import main
from bridge_assets.orchestration.metadata.registry import registry_metadata
from bridge_assets.registry.folder_registry import FolderRegistry
from bridge_assets.registry.open_registry import open_registry


def shell(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["registry", *arguments])


@pytest.fixture
def folder_registry(model_versions, tmp_path) -> FolderRegistry:
    registry = FolderRegistry(tmp_path / "registry", NAME)
    registry.set_alias("champion", registry.register(model_versions[0]))
    return registry


def test_a_version_is_planned_pushed_and_promoted(folder_registry, model_versions, tmp_path):
    there = str(tmp_path / "there")
    planned = shell("plan", "--registry", folder_registry.address, "--to", there)
    assert planned.output.startswith(f"copy {model_versions[0].version} (champion): ")
    pushed = shell("push", "champion", "--registry", folder_registry.address, "--to", there, "--promote")
    assert pushed.exit_code == 0, pushed.output
    assert "every file compared. It is now the champion there." in pushed.output
    assert open_registry(there, NAME).aliases()["champion"].version == model_versions[0].version
    assert "was already there" in shell("push", "champion", "--registry", folder_registry.address, "--to", there).output


def test_the_default_registry_is_the_platforms_own(folder_registry, model_versions, project, empty_database):
    (project / "var").mkdir()
    (project / "var" / "mlflow.db").write_bytes(empty_database.read_bytes())
    pulled = shell("pull", "champion", "--from", folder_registry.address)
    assert pulled.exit_code == 0, pulled.output
    [registered] = open_registry(f"sqlite:///{project / 'var' / 'mlflow.db'}", NAME).versions()
    assert registered.version == model_versions[0].version
    there = {path.name: path.read_bytes() for path in (project / "var" / "mlartifacts").rglob("*") if path.is_file()}
    assert file_contents(model_versions[0].folder).items() <= there.items()


def test_the_addresses_shown_can_be_pasted(folder_registry, project, empty_database):
    (project / "var").mkdir()
    (project / "var" / "mlflow.db").write_bytes(empty_database.read_bytes())
    pulled = shell("pull", "champion", "--from", folder_registry.address, "--promote").output
    [shown], [uri] = re.findall(r"  registry  (.+)\n", pulled), re.findall(r"  address   (.+)\n", pulled)
    assert shell("plan", "--registry", shown, "--to", folder_registry.address).output.startswith("there ")
    refused = shell("push", "nothing", "--registry", shown, "--to", folder_registry.address).output
    assert shown in refused

    import mlflow

    assert mlflow.MlflowClient(tracking_uri=shown, registry_uri=shown).get_model_version_by_alias(NAME, "champion")
    metadata = registry_metadata(open_registry(shown, NAME), open_registry(shown, NAME).aliases()["champion"])
    assert (metadata["registry"], metadata["registry_uri"]) == (shown, uri)
    assert f'set_tracking_uri("{shown}")' in metadata["load_with_mlflow"].value
    assert "load_with_mlflow" not in registry_metadata(folder_registry, folder_registry.aliases()["champion"])


def test_an_error_is_a_message_without_a_stack_trace(folder_registry, tmp_path):
    refused = shell("push", "nothing", "--registry", folder_registry.address, "--to", str(tmp_path / "there"))
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: ")
    assert "no version or alias 'nothing'" in refused.output
    assert shell("plan", "--registry", folder_registry.address).exit_code == 2
