"""Python versions on this machine that the platform does not support."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def _interpreter(version: str) -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True),
    ]
    return next((str(path) for path in candidates if path and _is_version(str(path), version)), None)


def _is_version(python: str, version: str) -> bool:
    # A shim of pyenv on the path only works for the version that is selected there.
    shown = subprocess.run([python, "--version"], capture_output=True, text=True)
    return shown.returncode == 0 and shown.stdout.startswith(f"Python {version}.")


UNSUPPORTED_PYTHONS = [
    pytest.param(version, path, id=version, marks=pytest.mark.skipif(path is None, reason=f"no Python {version} here"))
    for version in ("3.10", "3.13")
    for path in [_interpreter(version)]
]
