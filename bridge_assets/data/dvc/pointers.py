"""DVC pointers, the small `<path>.dvc` files that identify tracked data, and the repository that contains them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from bridge_assets.data.dvc.command import DvcError


def absolute_path(path: str | Path) -> Path:
    """An absolute path without `..`."""
    # Symbolic links are not followed: DVC tracks a path by its name in the repository.
    return Path(os.path.abspath(path))  # noqa: PTH100 # Path.absolute keeps `..`


def enclosing_repository(path: Path) -> Path | None:
    """The nearest folder above an absolute path that is a DVC repository."""
    return next((folder for folder in path.parents if (folder / ".dvc").is_dir()), None)


def repository_of(path: Path) -> Path:
    """The DVC repository that contains a path; if there is none, an existing folder in which DVC reports that."""
    return enclosing_repository(path) or next(folder for folder in path.parents if folder.is_dir())


def find_pointer(path: Path) -> Path | None:
    """The pointer that tracks an absolute path: next to the path, or next to a folder that contains it."""
    repository = enclosing_repository(path)
    for tracked_path in (path, *path.parents):
        if tracked_path == repository or not tracked_path.name:
            return None
        pointer = tracked_path.with_name(f"{tracked_path.name}.dvc")
        if pointer.is_file():
            return pointer
        if repository is None:
            return None
    return None


def read_pointer(pointer: Path) -> dict[str, Any]:
    """The entries of a pointer about its data: `md5`, `size`, `path` ...

    Raises
    ------
    DvcError
        If the file is not a pointer.
    """
    try:
        return yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"][0]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError) as error:
        raise DvcError(
            "this is not a DVC pointer file",
            where=pointer,
            why=f"It cannot be read as YAML with `outs`: {' '.join(str(error).split())}",
            do="restore it from version control, or add the data again",
        ) from None
