"""The code in a bundle: exactly the modules that serve a request, as a zip that Python imports from.

Belongs here: the list of shipped modules and their zip. Does not belong here: the other contents of a bundle
(`bundle`).
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path

from bridge_assets.errors import DeploymentError, error_summary

#: The module that a container imports from the archive (`serve.container`).
SERVER_MODULE = "bridge_assets.serve.server"

#: `SERVER_MODULE` and every module of bridge_assets that it imports, including imports inside functions. A change in
#: any of these files gives another slot, a change elsewhere does not. A test compares this tuple with the imports.
SHIPPED_MODULES = (
    "bridge_assets",
    "bridge_assets.data",
    "bridge_assets.data.features",
    "bridge_assets.data.features.limits",
    "bridge_assets.data.features.normalization",
    "bridge_assets.errors",
    "bridge_assets.metrics",
    "bridge_assets.metrics.measure_requests",
    "bridge_assets.metrics.prometheus_metrics",
    "bridge_assets.models",
    "bridge_assets.models.dataset",
    "bridge_assets.models.dataset.matrix",
    "bridge_assets.models.tasks",
    "bridge_assets.models.tasks.names",
    "bridge_assets.runtime",
    "bridge_assets.runtime.onnx_predictor",
    "bridge_assets.runtime.package",
    "bridge_assets.runtime.probe",
    "bridge_assets.runtime.served_model",
    "bridge_assets.serve",
    "bridge_assets.serve.app",
    "bridge_assets.serve.batches",
    "bridge_assets.serve.border",
    "bridge_assets.serve.border.access",
    "bridge_assets.serve.border.access_log",
    "bridge_assets.serve.border.answers",
    "bridge_assets.serve.border.connections",
    "bridge_assets.serve.border.deadlines",
    "bridge_assets.serve.border.h11_protocol",
    "bridge_assets.serve.border.httptools_protocol",
    "bridge_assets.serve.border.json_bytes",
    "bridge_assets.serve.border.middleware",
    "bridge_assets.serve.contracts",
    "bridge_assets.serve.description",
    "bridge_assets.serve.description.openapi",
    "bridge_assets.serve.description.structures",
    "bridge_assets.serve.description.version",
    "bridge_assets.serve.loaded_model",
    "bridge_assets.serve.predict_endpoint",
    "bridge_assets.serve.requests",
    "bridge_assets.serve.requests.request_body",
    "bridge_assets.serve.requests.request_rows",
    "bridge_assets.serve.requests.small_requests",
    "bridge_assets.serve.server",
    "bridge_assets.serve.state",
    "bridge_assets.storage",
)

#: Timestamp of every entry, so that the same content gives the same bytes: the earliest that zip supports.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@cache
def code_archive() -> bytes:
    """The archive of the installed code, read once per process."""
    return build_code_archive(Path(__file__).parents[3])


def build_code_archive(root: Path) -> bytes:
    """Zip `SHIPPED_MODULES`: the same files give the same bytes.

    Parameters
    ----------
    root : Path
        The folder that contains the package `bridge_assets`.

    Raises
    ------
    DeploymentError
        If a module cannot be read.
    """
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(_module_file(root, module) for module in SHIPPED_MODULES):
                info = zipfile.ZipInfo(path.relative_to(root).as_posix(), _ZIP_EPOCH)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(info, path.read_bytes())
    except OSError as error:
        raise DeploymentError(
            "the code of an endpoint cannot be packed",
            where=root,
            why=error_summary(error),
            do="reinstall bridge-assets",
        ) from error
    return buffer.getvalue()


def _module_file(root: Path, module: str) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
