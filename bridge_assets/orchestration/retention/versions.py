"""The model versions whose evidence must stay, and the digests by which checks know them and their data."""

from __future__ import annotations

from pathlib import Path

from bridge_assets.errors import BridgeAssetsError
from bridge_assets.orchestration.resources import Platform
from bridge_assets.orchestration.retention.evidence import digests_in_json


def protected_versions(platform: Platform) -> set[str]:
    """Names of the versions in the models folder and at the local endpoint, and of champion and challenger.

    Raises
    ------
    RegistryError
        If the registry cannot be read: then nothing must be removed.
    """
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.registry.base import CHALLENGER, CHAMPION
    from bridge_assets.registry.register import find_by_alias
    from bridge_assets.runtime.endpoint_folder import VERSIONS

    data = platform.data
    names = {path.name for path in _folders(data.models_folder)}
    names |= {path.name for path in _folders(data.endpoint_folder / VERSIONS)}
    names.add(LocalEndpoint(data.endpoint_folder).current() or "")
    for alias in (CHAMPION, CHALLENGER):
        registered = find_by_alias(platform.registry, data.home_folder, platform.model.name, alias)
        names.add(registered.version if registered else "")
    return names - {""}


def protected_digests(platform: Platform) -> set[str]:
    """Digests of the stages and files of all versions on this machine, and of every table in the lake.

    Whatever looks like a digest in a manifest or in the provenance of a table counts: too many keep a run too long, one
    too few would close the gate.
    """
    from bridge_assets.deployment.gate.content import read_content
    from bridge_assets.registry.model_version import MANIFEST, ModelVersion

    data, lake, digests = platform.data, platform.lake, set()
    for folder in (data.models_folder, data.endpoint_folder, data.lake):
        for path in folder.rglob("*.json") if folder.is_dir() else ():
            digests |= digests_in_json(path.read_text(encoding="utf-8", errors="replace"))
    for folder in _folders(data.models_folder):
        if (folder / MANIFEST).is_file():
            try:
                content = read_content(ModelVersion(folder))
            except BridgeAssetsError:  # damaged: no check is about these bytes, and the manifest's digests are there
                continue
            digests |= {*content.stages.values(), *content.files.values()}
    for table in lake.folder.glob("*/") if lake.folder.is_dir() else ():
        for year in lake.available_years(table.name):
            digests.add(lake.digest(table.name, year))
    return digests


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
