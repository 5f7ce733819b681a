"""The commands of README and docs do what they say, on the small platform."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.shipped.documented import PAGES, PROJECT, code_of, command_lines
from support.small_platform import YEARS

from bridge_assets.cli import main
from bridge_assets.registry.folder_registry import FolderRegistry
from bridge_assets.settings import ModelSettings

#: Beginning of a command -> where it is run, or why it is not.
RUN_ELSEWHERE = {
    "run": "the fixture `platform`",
    "run --job latest_year": "test_run_job.py",
    "dev": "cli/test_ports.py; the UI needs minutes",
    "rollback": "test_run_job.py; it needs two versions",
    "acknowledge": "gate/test_attacks.py; it needs an alarm",
    "dashboard": "cli/test_dashboard.py; it answers until it is stopped",
    "gradio": "orchestration/assets/test_gradio_interface.py; it answers until it is stopped",
    "exporter": "cli/test_exporter.py; it answers until it is stopped",
    "predict": "below, with a key of the small platform; test_readme_commands.py checks the key",
    "serve": "below, on a free port",
    "search": "below, with a small grid",
    "registry": "below, in order",
    "lake": "cli/test_lake.py; it removes a survey year",
    "dvc": "data/dvc, which has the program and a remote",
}

DOCUMENTED = sorted({line.partition("bridge-assets ")[2] for page in PAGES for line in command_lines(page)} - {""})
RUN_HERE = [
    line
    for line in DOCUMENTED
    if not any(f"{line} ".startswith(f"{name} ") and (name != "run" or line == "run") for name in RUN_ELSEWHERE)
]


def shell(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize("line", RUN_HERE)
def test_a_command_runs_as_written(platform, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    years = re.sub(r"--years \S+", f"--years {YEARS[1]}", line)
    shell(*shlex.split(years))


def test_the_other_commands_are_still_documented() -> None:
    assert len(RUN_HERE) >= 4
    assert [name for name in RUN_ELSEWHERE if not any(f"{line} ".startswith(f"{name} ") for line in DOCUMENTED)] == []


def test_the_registry_commands_run_in_the_documented_order(platform, tmp_path: Path) -> None:
    there = str(tmp_path / "there")  # in place of var/registry, which is in the folder that holds configs/
    block = (PROJECT / "docs" / "reference.md").read_text(encoding="utf-8")
    lines = re.findall(r"^bridge-assets (registry p(?:lan|ush) .*?)(?:  |$)", block, flags=re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["plan", "push"] and all(
        "--to var/registry" in line for line in lines
    )
    lines = [line.replace("var/registry", shlex.quote(there)) for line in lines]
    assert shell(*shlex.split(lines[0])).startswith("copy ")
    assert "every file compared" in shell(*shlex.split(lines[1]))
    registry = FolderRegistry(tmp_path / "there", ModelSettings.load().name)
    assert len(registry.versions()) == 1
    pulled = shell(
        "registry", "pull", registry.versions()[0].version, "--from", there, "--registry", str(tmp_path / "here")
    )
    assert "every file compared" in pulled


def test_search_prints_a_table_for_a_terminal(platform, monkeypatch) -> None:
    """With two held-out years: four would leave too few years of the small platform for an inner split."""
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__SPLIT__HOLDOUT_YEARS", "2")
    assert platform.materialize("training_set").success
    table = [
        line
        for line in shell("search", "--trees", "5", "--splits", "2", "--years", "1", "--try", "leaf=20,40").splitlines()
        if line.startswith("|")
    ]
    assert len(table) >= 4 and len({len(line) for line in table}) == 1


def test_the_served_endpoint_answers_the_documented_request(platform) -> None:
    [request] = [line for line in code_of(PROJECT / "docs" / "deployments.md") if line.startswith("curl ")]
    words = shlex.split(request)
    command = [str(Path(sys.executable).parent / "bridge-assets"), "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            assert server.stdout is not None
            port = next(json.loads(line)["port"] for line in server.stdout if '"serving"' in line)
            address = f"http://127.0.0.1:{port}"
            body = words[words.index("-d") + 1].encode()
            headers = dict([words[words.index("-H") + 1].split(": ")])
            path = words[2].partition("/")[2]
            with urllib.request.urlopen(urllib.request.Request(f"{address}/{path}", body, headers)) as answer:
                answered = json.load(answer)
        finally:
            server.terminate()
    assert set(answered) == {"predictions", "model_version"} and 0 <= answered["predictions"][0] <= 1
