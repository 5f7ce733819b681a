"""Save and load a scikit-learn forest with skops: no pickle, only the types of a forest, the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import ModelFileError
from bridge_assets.storage import atomic_write

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

_CALIBRATED = "bridge_assets.models.calibration.calibrated_forest.CalibratedForest"

#: All types in a saved forest. Without this list, skops would also build any other estimator and many functions.
TRUSTED_TYPES = frozenset(
    {
        _CALIBRATED,
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._forest.RandomForestRegressor",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor",
        "sklearn.tree._tree.Tree",
        "numpy.ndarray",
        "numpy.int64",
        "numpy.float32",
        "numpy.float64",
        "numpy.bool",
        "builtins.dict",
        "builtins.list",
        "builtins.tuple",
        "builtins.str",
        "builtins.int",
        "builtins.float",
        "builtins.bool",
    }
)

_SCHEMA = "schema.json"
_REMEDY: dict[str, str] = {"do": "train the model again", "stage": "bridge_model"}


def save_model(model: Any, path: Path) -> Path:
    """Write a fitted forest with skops.

    Parameters
    ----------
    model : RandomForestClassifier or RandomForestRegressor
    path : Path

    Raises
    ------
    ModelFileError
        If it contains a type that `load_model` would reject.
    StorageError
        If it cannot be written; `path` is then unchanged.
    """
    import skops.io

    content = _deterministic_bytes(skops.io.dumps(model))
    _check_trusted_types(content, path)
    with atomic_write(path) as temp_path:
        temp_path.write_bytes(content)
    return path


def load_model(path: Path) -> RandomForestClassifier:
    """Read what `save_model` wrote.

    Raises
    ------
    ModelFileError
        If it is not a skops file, is damaged, or has a type that is not part of a forest.
    OSError
        If it cannot be read.
    """
    import skops.io
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    content = path.read_bytes()
    _check_trusted_types(content, path)
    try:
        model = skops.io.loads(content, trusted=["sklearn.tree._tree.Tree", _CALIBRATED])
    except Exception as error:  # on a damaged file, zip, zlib, JSON, numpy and scikit-learn each raise their own error
        raise ModelFileError("the file is damaged", where=path, why=str(error), **_REMEDY) from error
    if not isinstance(model, RandomForestClassifier | RandomForestRegressor):
        raise ModelFileError(f"expected a random forest, found a {type(model).__name__}", where=path, **_REMEDY)
    return model  # type: ignore[return-value] # a regressor if one was saved


def _deterministic_bytes(content: bytes) -> bytes:
    """Rewrite a skops file without anything that changes from run to run.

    skops numbers objects and files by memory address and stamps members with the time. Here, objects are numbered in
    order, files are named by their content, and members are dated 1980, the earliest date in a zip file.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        arrays = {name: archive.read(name) for name in archive.namelist() if name != _SCHEMA}
    names = {name: f"{hashlib.sha256(data).hexdigest()[:32]}.npy" for name, data in arrays.items()}
    numbers = count()
    for node in _schema_objects(schema):
        if "__id__" in node:
            node["__id__"] = next(numbers)
        if "file" in node:
            node["file"] = names[node["file"]]
    members = {names[name]: data for name, data in arrays.items()}
    members[_SCHEMA] = json.dumps(schema, sort_keys=True).encode()
    canonical = io.BytesIO()
    with zipfile.ZipFile(canonical, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name), members[name], zipfile.ZIP_DEFLATED, compresslevel=1)
    return canonical.getvalue()


def _check_trusted_types(content: bytes, path: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            schema = json.loads(archive.read(_SCHEMA))
    except Exception as error:  # on a damaged file, zip, zlib and JSON each raise their own error
        raise ModelFileError("not a complete skops file", where=path, why=str(error), **_REMEDY) from None
    types = {f"{node.get('__module__')}.{node['__class__']}" for node in _schema_objects(schema) if "__class__" in node}
    if untrusted_types := sorted(types - TRUSTED_TYPES):
        raise ModelFileError(
            f"the file contains {', '.join(untrusted_types)}, which is not part of a random forest",
            where=path,
            why="Loading it could run foreign code, so nothing was loaded",
            do="find out where the file comes from, or train the model again",
            stage="bridge_model",
        )


def _schema_objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a skops schema, in order; parents before their parts."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield value
            pending.extend(reversed(list(value.values())))
        elif isinstance(value, list):
            pending.extend(reversed(value))
