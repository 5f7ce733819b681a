"""Two runs in one home, and homes that cannot be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge_assets.cli import main
from bridge_assets.cli.run_lock import LOCK_FILE, only_run
from bridge_assets.settings import DataSettings


def test_a_second_run_says_which_one_is_in_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "var"))
    with only_run(DataSettings.load()):
        os.utime(tmp_path / "var" / LOCK_FILE, (1_000_000_000, 1_000_000_000))
        second = CliRunner().invoke(main, ["run"])
    assert second.exit_code == 1
    assert "another run has been in progress since 2001-09-09 " in second.output
    assert f"(process {os.getpid()})" in second.output and f"kill -INT {os.getpid()}" in second.output
    assert [path.name for path in (tmp_path / "var").iterdir()] == [LOCK_FILE]


def test_the_lock_is_free_after_a_run_and_another_home_has_its_own(tmp_path: Path) -> None:
    with only_run(DataSettings(home=tmp_path / "one")), only_run(DataSettings(home=str(tmp_path / "two"))):
        pass
    with only_run(DataSettings(home=tmp_path / "one")):
        assert (tmp_path / "one" / LOCK_FILE).read_text().strip() == str(os.getpid())


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "file" / "var"))
    result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 1
    assert "file/var: the output folder cannot be written: Not a directory" in result.output
    assert "BRIDGE_ASSETS_DATA__HOME" in result.output
