"""Every command line in README, CONTRIBUTING and docs can be typed: its options, arguments and files exist.

Those that need no network are run in `orchestration/runs/test_documented_commands.py`.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import click
import pytest
from support.shipped.documented import PAGES, PROJECT, command_lines

from bridge_assets.cli import main
from bridge_assets.data.ingestion import load_bridge_data
from bridge_assets.nbi.sample import SampleSpec
from bridge_assets.nbi.sample.survey import build_inventory
from bridge_assets.nbi.sample.writing import render_survey_file

EXTRAS = set(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"])

LINES = sorted({line for page in PAGES for line in command_lines(page)})


def of_program(name: str) -> list[str]:
    return [line for line in LINES if Path(shlex.split(line)[0]).name == name]


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Parse a command line as click does, without running it; raises a UsageError."""
    with command.make_context(command.name or "", list(words), parent=parent) as context:
        if isinstance(command, click.Group):
            _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            assert inner is not None
            parse(inner, rest, context)


def test_the_pages_have_commands_of_every_kind() -> None:
    assert len(of_program("bridge-assets")) > 15 and len(of_program("make")) > 5 and of_program("python")


@pytest.mark.parametrize("line", of_program("bridge-assets"))
def test_bridge_assets_takes_these_options_and_arguments(line: str) -> None:
    try:
        parse(main, shlex.split(line)[1:])
    except click.MissingParameter:
        # The name of a command in running text, such as `bridge-assets predict`.
        assert re.fullmatch(r"\S*bridge-assets( [a-z-]+){1,2}", line)


@pytest.mark.parametrize("line", of_program("make"))
def test_make_knows_the_target(line: str) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    words = [word for word in shlex.split(line) if not word.startswith("PYTHON=")]
    done = subprocess.run([make, "--dry-run", *words[1:]], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in LINES if "pip install" in line or "-m pip" in line])
def test_pip_installs_what_exists(line: str) -> None:
    words = shlex.split(line)
    for word in words[words.index("install") + 1 :]:
        if word.endswith((".lock", ".txt")):
            assert (PROJECT / word).is_file()
        elif not word.startswith(
            "-"
        ):  # the checkout, or the wheel that `make wheel` builds; the name alone finds nothing
            named = re.fullmatch(r"(?:\.|bridge_assets-0\.1\.0-py3-none-any\.whl)(?:\[([a-z0-9,]+)\])?", word)
            assert named
            assert set((named[1] or "aws").split(",")) <= EXTRAS


def test_modules_that_are_run_exist() -> None:
    for line in LINES:
        if module := re.search(r"python\S* -m (\S+)", line):
            assert module[1] in ("pip", "venv", "benchmarks") or module[1].startswith("benchmarks."), line


def test_the_key_in_the_pages_is_a_bridge_of_the_default_sample(tmp_path: Path) -> None:
    keys = {shlex.split(line)[-1] for line in of_program("bridge-assets") if " predict " in line}
    spec = SampleSpec()
    content, _, _ = render_survey_file(build_inventory(spec), spec.years[-1])
    (tmp_path / f"NBI_{spec.years[-1]}.txt").write_bytes(content)
    bridges = load_bridge_data(str(tmp_path / f"NBI_{spec.years[-1]}.txt")).set_index("structure_key")
    assert keys and keys <= set(bridges.index)
    rated = ["DECK_COND_058", "SUPERSTRUCTURE_COND_059", "SUBSTRUCTURE_COND_060", "CULVERT_COND_062"]
    assert all((bridges.loc[[key], rated] != "N").any(axis=None) for key in keys)
