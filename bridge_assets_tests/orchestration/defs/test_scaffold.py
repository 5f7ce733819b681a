"""What a Dagster user types into a checkout works, and leaves nothing behind that git shows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
PROGRAMS = Path(sys.executable).parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this project under git, with a dbt manifest."""
    copy = tmp_path / "checkout"
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    listing = [*git, "-C", str(PROJECT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.check_output(listing, text=True).split("\0"):
        if name and (PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, copy / name)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x", "--no-verify"]):
        subprocess.run([*git, *command], cwd=copy, check=True)
    shutil.copytree(PROJECT / "dbt_project" / "target", copy / "dbt_project" / "target")
    return copy


def environment(checkout: Path) -> dict[str, str]:
    """Only what a shell in a new checkout has, and its code instead of the installed one."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_ASSETS", "DAGSTER"))}
    return {**ours, "PYTHONPATH": str(checkout)}


def changed_files(checkout: Path) -> list[str]:
    return subprocess.check_output(["git", "status", "--porcelain", "-uall"], cwd=checkout, text=True).splitlines()


def dg(checkout: Path, *arguments: str) -> str:
    command = [PROGRAMS / "dg", *arguments]
    finished = subprocess.run(
        command, cwd=checkout, env=environment(checkout), capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


@pytest.mark.slow
def test_what_dg_scaffolds_is_loaded(checkout: Path) -> None:
    dg(checkout, "scaffold", "defs", "dagster.asset", "my_asset.py")
    dg(checkout, "scaffold", "defs", "dagster.schedule", "my_schedule.py")
    folder = "bridge_assets/orchestration/defs"
    assert changed_files(checkout) == [f"?? {folder}/my_asset.py", f"?? {folder}/my_schedule.py"]
    listed = json.loads(dg(checkout, "list", "defs", "--json"))
    assert {"my_asset", "bridge_model"} <= {asset["asset_key"] for asset in listed["assets"]}
    assert {"my_schedule", "weekly_scoring"} <= {schedule["name"] for schedule in listed["schedules"]}
    dg(checkout, "check", "defs")


@pytest.mark.slow
def test_dagster_dev_without_a_home_leaves_nothing_that_git_shows(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [PROGRAMS / "dagster", "dev", "-p", str(port)]
    running = subprocess.Popen(command, cwd=checkout, env=environment(checkout), stderr=subprocess.DEVNULL)
    try:
        wait_until_it_answers(port, running)
        assert list(checkout.glob(".tmp_dagster_home_*"))
        assert changed_files(checkout) == []
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(timeout=100)
    assert changed_files(checkout) == []


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes], seconds: int = 200) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=20):
                return
        except OSError:
            time.sleep(1)
    pytest.fail("dagster dev does not answer")
