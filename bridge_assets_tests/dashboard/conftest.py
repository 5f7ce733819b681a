"""A small home for the dashboard, written once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.dashboard.home import write_home

from bridge_assets.dashboard.queries.tables import Tables


@pytest.fixture(scope="session")
def dashboard_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with every table; not to be changed."""
    return write_home(tmp_path_factory.mktemp("dashboard") / "home")


@pytest.fixture
def tables(dashboard_home: Path) -> Tables:
    return Tables(dashboard_home / "lake")


@pytest.fixture
def own_home(dashboard_home: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(dashboard_home, tmp_path / "home", symlinks=True)
    return tmp_path / "home"
