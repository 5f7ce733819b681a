"""Fixtures shared by all tests.

Real NBI records are not shipped with the project. The tests that need them look in `../shared/data` beside the
checkout, or in the folder that `BRIDGE_ASSETS_REAL_DATA` names, and skip where there is none. With
`BRIDGE_ASSETS_REQUIRE_REAL_DATA=1` (set by
`.ci/run` where the folder exists) a missing folder fails instead, so that they cannot be skipped by mistake.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

# What this machine's user has set for their own runs is none of the tests' business.
for variable in [*os.environ]:
    if variable.startswith(("BRIDGE_ASSETS_DATA__", "BRIDGE_ASSETS_MODEL__", "BRIDGE_ASSETS_MLFLOW__", "DAGSTER_HOME")):
        del os.environ[variable]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real NBI records."""
    folder = Path(os.environ.get("BRIDGE_ASSETS_REAL_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "nbi").is_dir():
        reason = f"no real NBI records at {folder}: set BRIDGE_ASSETS_REAL_DATA to a folder that holds them"
        if os.environ.get("BRIDGE_ASSETS_REQUIRE_REAL_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
