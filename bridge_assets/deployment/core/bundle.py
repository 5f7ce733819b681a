"""What is sent to an endpoint that is not this machine: a package, the code that answers from it, in one archive.

    model.onnx, normalization.json, probe.json, manifest.json     the package (`package`)
    code.zip                                                      this library's own modules, as they are now

The features of a request are made and scaled by the code that the version was exported with; a container image brings
Python and the libraries alone (`Dockerfile`). The same version and code give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from bridge_assets.deployment.core.code_archive import code_archive
from bridge_assets.deployment.core.packing import served_digests
from bridge_assets.errors import DeploymentError
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.package import MANIFEST, MODEL, NORMALIZATION, PROBE, content_digest
from bridge_assets.runtime.probe import Probe
from bridge_assets.storage import atomic_write, json_digest, to_json

CODE = "code.zip"
BUNDLE_FILES = (MODEL, NORMALIZATION, PROBE)

#: A slot, whatever it is of.
SLOT = re.compile(r"m[0-9a-f]{12}-[0-9a-f]{12}(?:-[0-9a-f]{3})?")


@dataclass(frozen=True)
class Bundle:
    """A model version ready to be sent somewhere. Made by `bundle_of`, which compares every file with the manifest.

    Attributes
    ----------
    model_version : ModelVersion
    served : mapping of str to str
        File -> SHA-256, of the files in `BUNDLE_FILES`.
    runtime_config_digest : str
        Digits that name the settings it is to run under (`with_runtime_config`); empty = no matter which.
    """

    model_version: ModelVersion
    served: Mapping[str, str]
    runtime_config_digest: str = ""

    @property
    def version(self) -> str:
        return self.model_version.version

    @cached_property
    def slot(self) -> str:
        """A name for this content under these terms: `m`, the version, a dash and 12 hex digits, and where there are
        terms a dash and 3 digits more. At most 30 characters, of which the first is a letter: Azure ML allows 32, and
        SageMaker 63 for an endpoint's name (at most 32), a dash and this.
        """
        content = content_digest({**self.served, CODE: hashlib.sha256(code_archive()).hexdigest()})
        return f"m{self.version}-{content}" + (f"-{self.runtime_config_digest}" if self.runtime_config_digest else "")

    def with_runtime_config(self, runtime_config: Mapping[str, Any]) -> Self:
        """The same content, to run under settings such as image and machine: other ones are another slot."""
        return replace(self, runtime_config_digest=json_digest(dict(runtime_config))[:3] if runtime_config else "")

    @cached_property
    def probe(self) -> Probe:
        return Probe.load(self.model_version.file(PROBE))

    def files(self) -> dict[str, bytes]:
        """Name -> content, of everything in the archive.

        Raises
        ------
        DeploymentError
            If a file changed since the bundle was made.
        """
        files = {name: self.model_version.file(name).read_bytes() for name in BUNDLE_FILES}
        for name, content in files.items():
            if (found := hashlib.sha256(content).hexdigest()) != self.served[name]:
                raise DeploymentError(
                    f"{name} changed while it was being packed",
                    where=self.model_version.file(name),
                    why=f"Its SHA-256 is {found[:12]}, it was {self.served[name][:12]}",
                    do="materialise onnx_model again",
                )
        manifest = {**self.model_version.manifest, "served": dict(self.served)}
        return {**files, MANIFEST: to_json(manifest).encode(), CODE: code_archive()}

    @cached_property
    def archive(self) -> bytes:
        """The archive, gzipped tar: the same content gives the same bytes."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in sorted(self.files().items()):
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(content), 0o644
                tar.addfile(info, io.BytesIO(content))
        return gzip.compress(buffer.getvalue(), compresslevel=6, mtime=0)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the archive."""
        return hashlib.sha256(self.archive).hexdigest()

    def write(self, path: Path) -> Path:
        """Write the archive, atomically."""
        with atomic_write(path) as temporary:
            temporary.write_bytes(self.archive)
        return path

    def unpack(self, folder: Path) -> Path:
        """Write the files of the archive into a new folder."""
        folder.mkdir(parents=True)
        for name, content in self.files().items():
            (folder / name).write_bytes(content)
        return folder


def bundle_of(model: ModelVersion | Path | str) -> Bundle:
    """The bundle of a model version, every byte of it compared with the manifest. Nothing is created.

    Parameters
    ----------
    model : ModelVersion, or Path or str
        A model version, or its folder.

    Raises
    ------
    DeploymentError
        If there is no such version, a file is missing or its bytes are not those of the manifest.
    """
    model_version = model if isinstance(model, ModelVersion) else ModelVersion(Path(model))
    served = served_digests(model_version)
    return Bundle(model_version, {name: served[name] for name in BUNDLE_FILES})
