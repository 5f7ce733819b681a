"""Tests of what DVC keeps need the real program."""

from __future__ import annotations

import pytest

from bridge_assets.data.dvc.command import find_dvc


def require_dvc() -> None:
    """Skip the test, or at import the module, where there is no DVC."""
    if find_dvc() is None:
        pytest.skip("there is no `dvc` program: `make dvc` sets it up", allow_module_level=True)
