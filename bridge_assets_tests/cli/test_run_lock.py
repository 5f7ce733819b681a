"""Two runs in one home, and homes that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
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
    with only_run(DataSettings(home=tmp_path / "one")), only_run(DataSettings(home=tmp_path / "two")):
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


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("megabytes", [3, 5])
def test_a_full_disk_is_reported_and_leaves_nothing_half_written(tmp_path: Path, megabytes: int) -> None:
    """3 MB: the sample does not fit. 5 MB: Dagster's own files do not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this container may not mount a file system")
    try:
        sample = {"STRUCTURES": "900", "FIRST_YEAR": "2009", "LAST_YEAR": "2018"}
        variables = {f"BRIDGE_ASSETS_DATA__SAMPLE__{name}": value for name, value in sample.items()}
        done = subprocess.run(
            [str(Path(sys.executable).parent / "bridge-assets"), "run", "--job", "inventory"],
            env={**os.environ, **variables, "BRIDGE_ASSETS_DATA__HOME": str(disk / "var"), "DAGSTER_HOME": ""},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        [message] = done.stderr.splitlines()
        assert "No space left on device" in message or "database or disk is full" in message
        assert str(disk) in message and "MB" in message and "What to do: free some space" in message
        assert list(disk.rglob("*.tmp")) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
