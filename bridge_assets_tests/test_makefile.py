"""`make` on a machine without a Python that can be used."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.shipped.other_pythons import UNSUPPORTED_PYTHONS

PROJECT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(folder: Path, *arguments: str) -> str:
    """What `make` prints in a copy of the checkout without an environment, where it must fail."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "setup.py"):
        shutil.copy(PROJECT / name, folder)
    done = subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert not (folder / ".venv").exists()
    return done.stdout + done.stderr


@pytest.mark.parametrize(("version", "python"), UNSUPPORTED_PYTHONS)
def test_another_python_version_is_refused(tmp_path: Path, version: str, python: str) -> None:
    text = make(tmp_path, "run", f"PYTHON={python}")
    assert f"Python 3.11 or 3.12 is needed, this is {version}. Name another: make PYTHON=/path/to/python3.11" in text


def test_a_python_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert "/nowhere/python3.11" in make(tmp_path, "run", "PYTHON=/nowhere/python3.11")
