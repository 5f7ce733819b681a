"""Python versions on this machine that the platform does not support."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


def _interpreter(version: str) -> str | None:
    # Not the shims of pyenv on the path: they only work for the version that is selected there.
    with_pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return str(with_pyenv[-1]) if with_pyenv else shutil.which(f"python{version}")


UNSUPPORTED_PYTHONS = [
    pytest.param(version, path, id=version, marks=pytest.mark.skipif(path is None, reason=f"no Python {version} here"))
    for version in ("3.10", "3.13")
    for path in [_interpreter(version)]
]
