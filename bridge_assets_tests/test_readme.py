"""What README, CONTRIBUTING and docs name exists: files, make targets, commands, benchmarks and checks."""

from __future__ import annotations

import json
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from support.shipped.documented import PAGES, PROJECT, code_of

from bridge_assets.cli import main
from bridge_assets.orchestration.gate.overrides import ACKNOWLEDGED_TAG, OVERRIDE_TAG
from bridge_assets.orchestration.tags import PROMOTION_TAG, RETRAINING_TAG

#: Tags of runs, which look like paths.
RUN_TAGS = {OVERRIDE_TAG, ACKNOWLEDGED_TAG, RETRAINING_TAG, PROMOTION_TAG}

FOLDERS = ("bridge_assets", "bridge_assets_tests", "benchmarks", "configs", "dbt_project", "docs", ".ci", ".github")

pytestmark = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def named_paths(page: Path) -> set[str]:
    links = re.findall(r"\]\(([^)#:\s]+)\)", page.read_text(encoding="utf-8"))
    paths = {str((page.parent / link).resolve().relative_to(PROJECT.resolve())) for link in links}
    for code in code_of(page):
        paths |= set(re.findall(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*", code))
    return {path.rstrip(".") for path in paths} - RUN_TAGS


def test_every_path_exists(page: Path) -> None:
    assert sorted(path for path in named_paths(page) if not (PROJECT / path).exists()) == []


def test_every_module_and_name_in_one_exists(page: Path) -> None:
    names = {name for code in code_of(page) for name in re.findall(r"\bbridge_assets(?:\.\w+)+", code)}
    assert sorted(name for name in names if not is_importable(name)) == []


def is_importable(name: str) -> bool:
    package, _, last = name.rpartition(".")
    try:
        return find_spec(name) is not None or hasattr(import_module(package), last)
    except ModuleNotFoundError:  # a parent that is not there, or is no package
        return find_spec(package) is not None and hasattr(import_module(package), last)


def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {name for code in code_of(page) for name in re.findall(r"\bmake ([a-z]+)", code)} - targets == set()


def test_every_command_exists(page: Path) -> None:
    used = [words for code in code_of(page) for words in re.findall(r"bridge-assets ([a-z]+)(?: ([a-z-]+))?", code)]
    for name, argument in used:
        assert name in main.commands, name
        command = main.commands[name]
        if isinstance(command, click.Group) and argument:
            assert argument in command.commands, f"{name} {argument}"


def test_every_benchmark_exists(page: Path) -> None:
    names = {name for code in code_of(page) for name in re.findall(r"-m benchmarks (\w+)", code)}
    assert sorted(name for name in names if not (PROJECT / "benchmarks" / f"{name}.py").exists()) == []


def test_every_check_exists(page: Path) -> None:
    snapshot = PROJECT / "bridge_assets_tests" / "orchestration" / "graph_snapshot.json"
    assets = json.loads(snapshot.read_text(encoding="utf-8"))
    checks = {f"{asset}:{check}" for asset, described in assets.items() for check in described["checks"]}
    named = {name for code in code_of(page) for name in re.findall(r"^\w+:\w+$", code)}
    assert named - checks == set()
