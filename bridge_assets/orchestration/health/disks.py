"""Free space on the disks that the platform writes, and the size of Dagster's own storage."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagster as dg

from bridge_assets.orchestration.health.findings import Findings
from bridge_assets.settings.operations import HealthSettings


def full_disks(folders: dict[str, Path], settings: HealthSettings) -> Findings:
    """Disks with less free space than the limit.

    Parameters
    ----------
    folders : dict
        What is there -> folder. Folders of one disk are looked at once; one that does not exist counts as its parent.
    settings : HealthSettings
    """
    problems, numbers, seen = [], {}, set()
    for name, folder in folders.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        usage = shutil.disk_usage(existing)
        numbers[f"{name}_free_gb"] = round(usage.free / 1e9, 2)
        device = existing.stat().st_dev
        if device not in seen and usage.free < settings.free_gb * 1e9:
            free, total = usage.free / 1e9, usage.total / 1e9
            limit = f"the limit is {settings.free_gb:g} GB"
            problems.append(f"{existing} ({name}): {free:.2f} GB of {total:.0f} GB are free; {limit}")
        seen.add(device)
    least = min((value for value in numbers.values()), default=0.0)
    return Findings(
        problems,
        numbers,
        "free some space: downloads, old model versions, and Dagster's storage (job retention)",
        f"at least {least:.2f} GB free",
    )


def large_storage(instance: dg.DagsterInstance, settings: HealthSettings) -> Findings:
    """The size of Dagster's storage, if it is files on this machine (SQLite)."""
    folder = sqlite_folder(instance)
    if folder is None:
        return Findings(fine="Dagster's storage is not SQLite: its size is that of the database server")
    size, files = _size(folder)
    numbers: dict[str, int | float] = {"storage_gb": round(size / 1e9, 3), "files": files}
    problem = f"{folder} has {size / 1e9:.2f} GB in {files:,} files; the limit is {settings.storage_gb:g} GB"
    return Findings(
        [problem] if size > settings.storage_gb * 1e9 else [],
        numbers,
        "run the job retention (see `retention` in environment.yaml; it only lists until dry_run is false), or use "
        "PostgreSQL",
        f"{size / 1e9:.2f} GB in {files:,} files",
    )


def sqlite_folder(instance: dg.DagsterInstance) -> Path | None:
    """The folder of the event log and the runs, with SQLite; None for another storage."""
    path_of = getattr(instance.event_log_storage, "path_for_shard", None)  # of SQLite's storage only
    folder = Path(path_of("index")).parents[1] if path_of else None
    return folder if folder and folder.is_dir() else None


def _size(folder: Path) -> tuple[int, int]:
    """Bytes and number of the files below a folder. What vanishes meanwhile is not counted."""
    size = files = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += Path(parent, name).lstat().st_size
                files += 1
            except FileNotFoundError:
                continue
    return size, files
