"""Dagster's own storage: a folder inside the project's home, so that runs and their history outlive the process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bridge_assets.settings import DataSettings, config_file
from bridge_assets.storage import atomic_write


def ensure_dagster_home(data: DataSettings) -> Path:
    """DAGSTER_HOME: what the environment says, else `<home>/dagster` with `configs/dagster.yaml` in it."""
    if configured := os.environ.get("DAGSTER_HOME"):
        return Path(configured)
    home = data.home_folder / "dagster"
    source = config_file("dagster.yaml")
    home.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        with atomic_write(home / "dagster.yaml") as temporary:
            shutil.copyfile(source, temporary)
    os.environ["DAGSTER_HOME"] = str(home)
    return home
