"""Dagster's own storage: a folder in the project's home, so that runs and their history outlive the process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bridge_assets.settings import DataSettings, config_file
from bridge_assets.storage import atomic_write, private_folder


def ensure_dagster_home(data: DataSettings) -> Path:
    """The folder that DAGSTER_HOME names. If it is not set, sets it to `<home>/dagster` and copies
    `configs/dagster.yaml` there.
    """
    if configured := os.environ.get("DAGSTER_HOME"):
        return Path(configured)
    home = data.home_folder / "dagster"
    source = config_file("dagster.yaml")
    if not home.is_dir():
        private_folder(home)  # the gate's evidence: who can write here can forge it
    if source.is_file():
        with atomic_write(home / "dagster.yaml") as temporary:
            shutil.copyfile(source, temporary)
    os.environ["DAGSTER_HOME"] = str(home)
    return home
