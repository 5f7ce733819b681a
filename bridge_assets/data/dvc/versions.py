"""Versions of survey files and trained models in DVC: pointers next to the data, the bytes in a remote.

`dvc_add`, `dvc_pull` and `dvc_push` run the DVC command in any DVC repository and return its exit code.
`version_raw_files` and `version_model` use the repository described in `configs/dvc_config.yaml`, and raise if a
version did not reach the remote. `restore` brings tracked data back and compares its bytes with the pointer.

Versioning does not change the data on disk: same file, same times, same permissions. A limitation of DVC: if the remote
has the list of the files in a folder, DVC assumes that it has the files too, and does not upload deleted ones again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from bridge_assets.data.dvc.command import DvcError, DvcResult, require_success, run_dvc
from bridge_assets.data.dvc.pointers import absolute_path, find_pointer, read_pointer, repository_of
from bridge_assets.data.dvc.repository import ensure_repository
from bridge_assets.settings import DataSettings, DvcSettings


def dvc_add(path: str | Path) -> int:
    """Track a file or folder with DVC: writes `<path>.dvc` next to it, and copies its bytes into the DVC cache.

    Parameters
    ----------
    path : str or Path
        In a DVC repository. A relative path starts at the working directory.

    Returns
    -------
    int
        The exit code of `dvc add`; 0 = success. The output of DVC is in the log.

    Raises
    ------
    DvcError
        If DVC is not installed.
    """
    # Without --no-relink, DVC moves the file into its cache and replaces it by a copy with other times and permissions;
    # if it is killed in between, the file is missing.
    return _run_on_path(Path(path), "add", "--no-relink").code


def dvc_pull(*paths: str | Path) -> int:
    """Bring tracked data back from the remote.

    Parameters
    ----------
    paths : str or Path
        Tracked data, a file in a tracked folder, or pointers. Without any, everything in the configured repository.

    Returns
    -------
    int
        The exit code of `dvc pull`; 0 = success. Local changes that are not in any version are not overwritten: the
        code is then 1.

    Raises
    ------
    DvcError
        If DVC is not installed, or the folder of the configured repository does not exist.
    """
    return _run_per_repository("pull", paths)


def dvc_push(*paths: str | Path) -> int:
    """Upload tracked data to the remote.

    Parameters
    ----------
    paths : str or Path
        As in `dvc_pull`.

    Returns
    -------
    int
        The exit code of `dvc push`; 0 = success. DVC also returns 0, with a warning, if its cache no longer has the
        files to upload; `version_raw_files` and `version_model` fill the cache first.

    Raises
    ------
    DvcError
        As in `dvc_pull`.
    """
    return _run_per_repository("push", paths)


def is_tracked(path: str | Path) -> bool:
    """Whether DVC tracks a path, directly (`<path>.dvc` is next to it) or in a folder; the data may be absent."""
    return find_pointer(absolute_path(path)) is not None


def restore(path: str | Path) -> Path:
    """Make sure that tracked data exists, with the bytes recorded in its pointer.

    Data that is absent, or is another version, is pulled. Local changes that are not in any version are kept.

    Parameters
    ----------
    path : str or Path
        Tracked data, or a file in a tracked folder.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    DvcError
        A SourceError. If DVC does not track `path` or cannot restore it, or if the restored data does not match the
        pointer, because of a damaged object in the DVC cache.
    """
    path = absolute_path(path)
    pointer = find_pointer(path)
    if pointer is None:
        raise DvcError(
            "DVC does not track this path",
            where=path,
            why=f"There is no {path.name}.dvc next to it, and no pointer for a folder above it",
            do="correct the path, or add the data with dvc_add on the machine that has it",
        )
    if path.exists() and not _changed_files(path):
        return path
    require_success(_run_on_path(path, "pull"), path)
    if not path.exists():  # `dvc pull` of a name that is not in the tracked folder does nothing, and returns 0
        raise DvcError(
            "DVC does not have this file",
            where=path,
            why=f"It is not in this version of the folder that {pointer.name} tracks",
            do="correct the path, or check out the version of the pointer that includes it",
        )
    if differing := _changed_files(path):
        raise DvcError(
            f"the restored data differs from its pointer in {len(differing)} files: {', '.join(differing[:3])}",
            where=path,
            why="An object in the DVC cache is damaged; DVC does not verify its cache",
            do="remove the local file and the DVC cache (.dvc/cache), then pull again",
        )
    return path


def version_raw_files(data: DataSettings | None = None, settings: DvcSettings | None = None) -> dict[Path, str]:
    """Add the current survey files (source folder, downloads) to DVC and push them.

    Returns
    -------
    dict of Path to str
        Folder -> MD5 in its pointer; the same files give the same MD5.

    Raises
    ------
    DvcError
        If there is nothing to version, or a version did not reach the remote.
    """
    data = data or DataSettings.load()
    folders = [path for path in (data.source_folder, data.downloads_folder) if _has_files(path)]
    if not folders:
        raise DvcError(
            "no survey file to version",
            where=data.source_folder,
            why="The folder is missing or empty, and so is `downloads` in the home folder",
            do="put survey files there, or correct `source` in configs/data_config.yaml",
        )
    outer = [path for path in folders if not any(other in path.parents for other in folders)]
    return _add_and_push(list(dict.fromkeys(outer)), settings)


def version_model(version_folder: str | Path, settings: DvcSettings | None = None) -> str:
    """Add the folder of a model version to DVC and push it.

    Returns
    -------
    str
        The MD5 in `<version_folder>.dvc`; the same files give the same MD5.

    Raises
    ------
    DvcError
        If the folder is missing or empty, or the version did not reach the remote.
    """
    folder = absolute_path(version_folder)
    if not (folder.is_dir() and _has_files(folder)):
        raise DvcError(
            "no model version to add to DVC",
            where=folder,
            why="The folder is missing or empty",
            do="train a model, or correct the path",
            stage="bridge_model",
        )
    return _add_and_push([folder], settings)[folder]


def _add_and_push(paths: list[Path], settings: DvcSettings | None) -> dict[Path, str]:
    repository = ensure_repository(settings)
    data = [os.path.relpath(path, repository) for path in paths]
    pointers = [f"{path}.dvc" for path in data]
    require_success(run_dvc("add", "--no-relink", "--", *data, repository=repository), paths[0])
    require_success(run_dvc("push", "--", *pointers, repository=repository), paths[0])
    return {path: read_pointer(Path(f"{path}.dvc"))["md5"] for path in paths}


def _run_per_repository(command: str, paths: tuple[str | Path, ...]) -> int:
    if not paths:
        return run_dvc(command, repository=DvcSettings.load().repository_folder).code
    by_repository: dict[Path, list[str]] = {}
    for path in map(absolute_path, paths):
        repository = repository_of(path)
        by_repository.setdefault(repository, []).append(os.path.relpath(path, repository))
    codes = [run_dvc(command, "--", *names, repository=where).code for where, names in by_repository.items()]
    return next((code for code in codes if code), 0)


def _run_on_path(path: Path, command: str, *options: str) -> DvcResult:
    path = absolute_path(path)
    repository = repository_of(path)
    return run_dvc(command, *options, "--", os.path.relpath(path, repository), repository=repository)


def _changed_files(path: Path) -> list[str]:
    """The files at `path` that are absent or not what DVC recorded. DVC itself compares times, not bytes."""
    pointer = find_pointer(path)
    if pointer is None or read_pointer(pointer).get("hash") != "md5":
        return []  # before DVC 3, digests were computed after converting line ends
    repository = repository_of(path)
    name = os.path.relpath(path, repository)
    listing = ("--recursive", "--dvc-only", "--show-hash", "--json", "--", ".", name)
    listed = run_dvc("ls", *listing, repository=repository)
    if listed.code:
        return [name]  # the list of the files in the folder has to be pulled, too
    entries = [entry for entry in json.loads(listed.stdout) if entry.get("md5")]
    files = [(path / entry["path"] if path.is_dir() else path, entry["md5"]) for entry in entries]
    return [str(file) for file, md5 in files if not file.is_file() or _md5(file) != md5]


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _has_files(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))
