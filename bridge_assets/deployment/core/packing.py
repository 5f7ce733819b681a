"""Creates a package (`runtime.package`) from a model version.

Belongs here: which files of a version are sent to an endpoint, and copying them. Does not belong here: reading a
package (`runtime.package`), and the archive for a remote endpoint (`bundle`).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from bridge_assets.errors import DeploymentError, ModelVersionError, error_summary
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.package import MANIFEST, PACKAGE_FILES, Package, fsync
from bridge_assets.storage import digest, write_json


def served_digests(model_version: ModelVersion) -> dict[str, str]:
    """Compare a version's files with its manifest. Writes nothing.

    Returns
    -------
    dict of str to str
        File -> SHA-256, of the files that are sent to an endpoint (`PACKAGE_FILES`).

    Raises
    ------
    DeploymentError
        If a file is missing or differs from the manifest.
    """
    try:
        model_version.verify_stage("quantized_model")
        model_version.verify_stage("onnx_model")
        return {name: digest(model_version.file(name)) for name in PACKAGE_FILES}
    except ModelVersionError as error:
        raise DeploymentError(
            f"model version {model_version.version} cannot be deployed",
            where=error.where or model_version.folder,
            why=f"{error.what}. {error.why}" if error.why else error.what,
            do=error.do or "export the model version again",
            stage=error.stage or "onnx_model",
        ) from error
    except OSError as error:
        raise DeploymentError(
            f"model version {model_version.version} is not complete",
            where=model_version.folder,
            why=error_summary(error),
            do="train, quantize and export it again",
            stage="bridge_model",
        ) from error


def pack(model_version: ModelVersion, served: Mapping[str, str], folder: Path) -> Package:
    """Copy a version's files into a new folder and flush them to the disk.

    Parameters
    ----------
    model_version : ModelVersion
    served : mapping of str to str
        File -> SHA-256, from `served_digests`; the copies must have exactly these digests.
    folder : Path
        Must not exist.

    Raises
    ------
    DeploymentError
        If a copy differs from its digest.
    OSError
        If the disk is full or the folder cannot be written.
    """
    folder.mkdir()
    for name in served:
        shutil.copyfile(model_version.file(name), folder / name)
        fsync(folder / name)
    write_json({**model_version.manifest, "served": dict(served)}, folder / MANIFEST)
    fsync(folder)
    package = Package(folder)
    for name in served:
        package.file(name)
    return package
