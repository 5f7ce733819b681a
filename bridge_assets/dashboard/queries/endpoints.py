"""Which model version each endpoint serves, what was served before, and what the gate found."""

from __future__ import annotations

import json
from pathlib import Path

from bridge_assets.dashboard.queries.tables import Row
from bridge_assets.deployment.core.deployment_log import DeploymentRecord, read_deployments


def local_versions(endpoint: Path) -> list[Row]:
    """The versions of the local endpoint, the one that is served first.

    Parameters
    ----------
    endpoint : Path
        Folder of the endpoint.

    Returns
    -------
    list of dict
        slot (version and digest), version, is_current, place (in the order of deployment, 1 = first; None if it never
        served), is_on_disk, survey_years (text), size (bytes).
    """
    try:
        history = [str(slot) for slot in json.loads((endpoint / "history.json").read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        history = []
    current = (endpoint / "current").resolve().name if (endpoint / "current").exists() else ""
    on_disk = {path.name: path for path in (endpoint / "versions").glob("*") if path.is_dir()}
    rows = []
    for slot in dict.fromkeys([*reversed(history), *sorted(on_disk)]):
        folder = on_disk.get(slot)
        rows.append(
            {
                "slot": slot,
                "version": slot.partition("-")[0],
                "is_current": slot == current,
                "place": history.index(slot) + 1 if slot in history else None,
                "is_on_disk": folder is not None,
                "size": sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) if folder else None,
                "survey_years": _survey_years(folder) if folder else "",
            }
        )
    return sorted(rows, key=lambda row: not row["is_current"])


def deployments(home: Path) -> list[DeploymentRecord]:
    """What happened to the endpoints, the newest first."""
    return read_deployments(home)


def serving(records: list[DeploymentRecord]) -> list[DeploymentRecord]:
    """The last change of each endpoint: what it serves now, unless something else changed it."""
    found: dict[str, DeploymentRecord] = {}
    for record in records:
        if record.outcome != "refused":
            found.setdefault(record.endpoint, record)
    return sorted(found.values(), key=lambda record: record.endpoint)


def _survey_years(folder: Path) -> str:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        years = sorted(manifest["made_from"]["survey_years"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f"{years[0]} to {years[-1]}" if years else ""
