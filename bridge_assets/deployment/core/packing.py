"""Reads the files of a model version that an endpoint serves, once, and writes them as a package (`runtime.package`).

Belongs here: which files of a version are served, reading and verifying them. Does not belong here: reading a package
(`runtime.package`), and the archive for a remote endpoint (`bundle`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bridge_assets.deployment.core.structure_tables import PackedTables
from bridge_assets.errors import DeploymentError, ModelVersionError, error_summary
from bridge_assets.registry.model_version import ModelVersion, declared_digests
from bridge_assets.runtime.package import MANIFEST, PACKAGE_FILES, Package, fsync
from bridge_assets.storage import make_folder, private_folder, to_json


@dataclass(frozen=True)
class ServedFiles:
    """The files of a model version that are served, as they were read: later changes on disk do not reach them.

    Attributes
    ----------
    model_version : ModelVersion
    contents : mapping of str to bytes
        File -> content, of `PACKAGE_FILES` and `TABLE_FILES`.
    manifest : mapping
        The version's manifest.
    """

    model_version: ModelVersion
    contents: Mapping[str, bytes] = field(repr=False)
    manifest: Mapping[str, Any] = field(repr=False)

    @cached_property
    def digests(self) -> dict[str, str]:
        """File -> SHA-256."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in self.contents.items()}

    def only(self, names: tuple[str, ...]) -> ServedFiles:
        """The same with fewer files."""
        return ServedFiles(self.model_version, {name: self.contents[name] for name in names}, self.manifest)

    def with_tables(self, tables: PackedTables) -> ServedFiles:
        """The same with tables of structures, or with the reason why there are none in the manifest."""
        manifest = {**self.manifest, "structures_skipped": tables.skipped_reason} if tables.skipped_reason else None
        return ServedFiles(self.model_version, {**self.contents, **tables.contents}, manifest or self.manifest)

    def package_manifest(self) -> bytes:
        """manifest.json of the package: that of the version, with the digests of the files."""
        return to_json({**self.manifest, "served": self.digests}).encode()


def read_served_files(model_version: ModelVersion, judged: Mapping[str, str] | None = None) -> ServedFiles:
    """Read the files that an endpoint serves, and compare them. Writes nothing.

    Parameters
    ----------
    model_version : ModelVersion
    judged : mapping of str to str, optional
        File -> SHA-256 that the gate decided about (`gate.content.VersionContent.files`), with manifest.json. Without
        it, the files are only compared with the version's own manifest.

    Raises
    ------
    DeploymentError
        If a file is missing, differs from the manifest, or is not what the gate decided about.
    """
    try:
        model_version.verify_stage("quantized_model")
        model_version.verify_stage("onnx_model")
        read = {name: model_version.file(name).read_bytes() for name in (*PACKAGE_FILES, MANIFEST)}
        manifest = json.loads(read[MANIFEST])
    except ModelVersionError as error:
        raise DeploymentError(
            f"model version {model_version.version} cannot be deployed",
            where=error.where or model_version.folder,
            why=f"{error.what}. {error.why}" if error.why else error.what,
            do=error.do or "export the model version again",
            stage=error.stage or "onnx_model",
        ) from error
    except (OSError, ValueError) as error:
        raise DeploymentError(
            f"model version {model_version.version} is not complete",
            where=model_version.folder,
            why=error_summary(error),
            do="train, quantize and export it again",
            stage="bridge_model",
        ) from error
    expected = judged if judged is not None else declared_digests(manifest)
    whose = "the gate decided about" if judged is not None else "the manifest says"
    for name, content in read.items():
        found = hashlib.sha256(content).hexdigest()
        if name in expected and found != expected[name]:
            raise DeploymentError(
                f"{name} of model version {model_version.version} changed while it was being deployed",
                where=model_version.file(name),
                why=f"Its SHA-256 is {found[:12]}, {whose} {expected[name][:12]}",
                do="find out who writes there, then run the model's assets again with their checks",
                stage="onnx_model",
            )
    return ServedFiles(model_version, {name: read[name] for name in PACKAGE_FILES}, manifest)


def pack(files: ServedFiles, folder: Path) -> Package:
    """Write a package into a new folder that others cannot enter, and flush it to the disk.

    Parameters
    ----------
    files : ServedFiles
    folder : Path
        Must not exist.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written.
    """
    make_folder(folder)
    for name, content in {**files.contents, MANIFEST: files.package_manifest()}.items():
        (folder / name).write_bytes(content)
    private_folder(folder)
    for name in (*files.contents, MANIFEST):
        fsync(folder / name)
    fsync(folder)
    package = Package(folder)
    for name in files.contents:
        package.file(name)
    return package
