"""`bridge-assets init`, and how errors are printed in a shell."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bridge_assets.cli import main
from bridge_assets.cli.errors import UserErrorGroup
from bridge_assets.deployment.targets import REMOTE_TARGETS
from bridge_assets.errors import ModelVersionError
from bridge_assets.settings import CONFIG_FOLDER_VARIABLE, DataSettings


def test_a_new_project_has_every_configuration_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    result = CliRunner().invoke(main, ["init", str(folder)])
    assert result.exit_code == 0, result.output
    for line in (f"  cd {folder}", "  bridge-assets run ", "  bridge-assets dev "):
        assert line in result.output
    shipped = Path(__file__).parents[2] / "configs"
    for path in shipped.rglob("*.yaml"):
        assert (folder / "configs" / path.relative_to(shipped)).read_bytes() == path.read_bytes()
    assert {path.name for path in folder.iterdir()} == {"configs", "workspace.yaml", ".gitignore", "README.md"}
    monkeypatch.delenv(CONFIG_FOLDER_VARIABLE)
    monkeypatch.chdir(folder)
    assert DataSettings.load().home_folder == folder / "var"


def test_existing_files_are_listed_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    (tmp_path / "mine" / "configs" / "data_config.yaml").write_text("source: fhwa\n")
    (tmp_path / "mine" / "README.md").write_text("mine\n")
    result = CliRunner().invoke(main, ["init", str(tmp_path / "mine")])
    assert result.exit_code == 1
    assert "It would overwrite configs/data_config.yaml, README.md." in result.output
    assert sorted(path.name for path in (tmp_path / "mine").rglob("*")) == ["README.md", "configs", "data_config.yaml"]
    assert (tmp_path / "mine" / "README.md").read_text() == "mine\n"


def test_outputs_of_an_earlier_run_do_not_prevent_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "var" / "lake").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["init", "."])
    assert result.exit_code == 0, result.output
    assert "cd " not in result.output


def test_an_error_that_names_a_stage_tells_what_to_run() -> None:
    @click.group(cls=UserErrorGroup)
    def group() -> None:
        pass

    @group.command()
    def fail() -> None:
        raise ModelVersionError("it has no ONNX file", where="v1", do="export it again", stage="onnx_model")

    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == 1
    assert result.output == (
        "Error: v1: it has no ONNX file. What to do: export it again. "
        "`bridge-assets run` builds onnx_model and everything before it.\n"
    )


def test_every_target_can_be_rolled_back_from_a_shell() -> None:
    [endpoint] = [option for option in main.commands["rollback"].params if option.name == "endpoint"]
    assert isinstance(endpoint.type, click.Choice)
    assert list(endpoint.type.choices) == ["local", *(target.key for target in REMOTE_TARGETS)]


def test_every_command_has_help() -> None:
    for name, command in main.commands.items():
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0 and command.get_short_help_str()
