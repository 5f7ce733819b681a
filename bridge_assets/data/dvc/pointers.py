"""Pointers: the small files `<path>.dvc` by which DVC knows its data, and the repository they lie in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from bridge_assets.data.dvc.command import DvcError


def absolute_path(path: str | Path) -> Path:
    """A path from the root, without `..`."""
    # Links are not followed: DVC tracks a path by its name in the repository.
    return Path(os.path.abspath(path))  # noqa: PTH100 # Path.absolute keeps `..`


def enclosing_repository(path: Path) -> Path | None:
    """The nearest folder above an absolute path that holds a DVC repository."""
    return next((folder for folder in path.parents if (folder / ".dvc").is_dir()), None)


def repository_of(path: Path) -> Path:
    """The DVC repository that holds a path; where there is none, a folder in which DVC says so."""
    return enclosing_repository(path) or next(folder for folder in path.parents if folder.is_dir())


def find_pointer(path: Path) -> Path | None:
    """The pointer that an absolute path is tracked by: beside it, or beside a folder that it lies in."""
    repository = enclosing_repository(path)
    for place in (path, *path.parents):
        if place == repository or not place.name:
            return None
        pointer = place.with_name(f"{place.name}.dvc")
        if pointer.is_file():
            return pointer
        if repository is None:
            return None
    return None


def read_pointer(pointer: Path) -> dict[str, Any]:
    """What a pointer says of its data: `md5`, `size`, `path` ...

    Raises
    ------
    DvcError
        If it is no pointer.
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
