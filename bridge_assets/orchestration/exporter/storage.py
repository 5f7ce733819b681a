"""The disk: space, size of Dagster's storage, and alerts that wait to be sent. Read without Dagster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bridge_assets.metrics.exporter import Reading


def read_storage(home: Path, dagster_home: Path) -> Iterator[Reading]:
    """Space on the disk of the platform's home, bytes of Dagster's event log, and the alerts that wait.

    Parameters
    ----------
    home : Path
        `home_folder` of the data settings.
    dagster_home : Path
    """
    usage = shutil.disk_usage(home)
    yield Reading("bridge_assets_disk_free_bytes", "Free space where the platform writes.", (), {(): usage.free})
    yield Reading("bridge_assets_disk_size_bytes", "Size of that disk.", (), {(): usage.total})
    if (dagster_home / "history").is_dir():  # SQLite; a server's database is not on this disk
        sizes = _sizes(dagster_home / "history")
        yield Reading(
            "bridge_assets_event_log_bytes", "Size of Dagster's runs and events on disk.", (), {(): sum(sizes)}
        )
    waiting = {
        (state,): sum(entry.is_file() for entry in os.scandir(home / "alerts" / state))
        for state in ("pending", "rejected")
        if (home / "alerts" / state).is_dir()
    }
    yield Reading("bridge_assets_alerts_waiting", "Messages for Slack that were not delivered.", ("state",), waiting)


def _sizes(folder: Path) -> list[int]:
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                found.append((Path(root) / name).stat().st_size)
            except FileNotFoundError:  # Dagster removes its journals
                continue
    return found
