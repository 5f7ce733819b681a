"""`/version`: which model, features, package and libraries answer."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge_assets.serve.loaded_model import LoadedModel

#: Libraries that an answer depends on.
_LIBRARIES = ("numpy", "polars", "onnxruntime", "msgspec", "starlette", "uvicorn", "httptools", "prometheus-client")


def version_of(model: LoadedModel) -> dict[str, Any]:
    """The versions behind an answer.

    Returns
    -------
    dict
        `model_version`; `slot`, which identifies everything that answers; `feature_version`, the digest of the feature
        definitions that the model was trained on; `package`, the digest of the package's files; `training_years`, first
        and last; `output`; `python`; `libraries`, name -> version.
    """
    served = model.model
    return {
        "model_version": model.version,
        "slot": model.slot,
        "feature_version": served.features_digest,
        "package": model.package,
        "training_years": list(served.training_years),
        "output": model.output_name,
        "python": platform.python_version(),
        "libraries": _library_versions(),
    }


@cache
def _library_versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # an image that was built before it was needed
            continue
    return found
