"""The archive that is sent to a remote endpoint: a package and the code that serves it.

    model.onnx, normalization.json, probe.json, manifest.json     the package (`runtime.package`)
    code.zip                                                      the modules that serve it (`code_archive`)

The code in the bundle prepares the features of a request and predicts from them; a container image provides only Python
and the libraries (`Dockerfile`). The same version and code give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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

#: Pattern of a slot's name.
SLOT = re.compile(r"m[0-9a-f]{12}-[0-9a-f]{12}(?:-[0-9a-f]{3})?")


@dataclass(frozen=True)
class Bundle:
    """A model version ready to be sent to an endpoint. Created by `bundle_of`, which verifies every file.

    Attributes
    ----------
    model_version : ModelVersion
    served : mapping of str to str
        File -> SHA-256, of the files in `BUNDLE_FILES`.
    code : bytes
        code.zip.
    runtime_config_digest : str
        First hex digits of the digest of the settings that it runs under (`with_runtime_config`); empty = none.
    """

    model_version: ModelVersion
    served: Mapping[str, str]
    code: bytes = field(repr=False)
    runtime_config_digest: str = ""

    @property
    def version(self) -> str:
        return self.model_version.version

    @cached_property
    def slot(self) -> str:
        """The name of this content under these settings: `m`, the version, a dash and 12 hex digits of the content's
        digest, followed by a dash and 3 digits if there are settings. At most 30 characters, beginning with a letter:
        Azure ML allows 32; SageMaker allows 63 for the endpoint's name (at most 32), a dash and the slot.
        """
        content = content_digest({**self.served, CODE: hashlib.sha256(self.code).hexdigest()})
        return f"m{self.version}-{content}" + (f"-{self.runtime_config_digest}" if self.runtime_config_digest else "")

    def with_runtime_config(self, runtime_config: Mapping[str, Any]) -> Self:
        """The same content under settings such as image and machine; other settings give another slot."""
        return self.with_digest(json_digest(dict(runtime_config))[:3] if runtime_config else "")

    def with_digest(self, runtime_config_digest: str) -> Self:
        """The same content under settings with a known digest."""
        return replace(self, runtime_config_digest=runtime_config_digest)

    @cached_property
    def probe(self) -> Probe:
        return Probe.load(self.model_version.file(PROBE))

    def files(self) -> dict[str, bytes]:
        """File -> content, of everything in the archive.

        Raises
        ------
        DeploymentError
            If a file changed since the bundle was created.
        """
        files = {name: self.model_version.file(name).read_bytes() for name in BUNDLE_FILES}
        for name, content in files.items():
            if (found := hashlib.sha256(content).hexdigest()) != self.served[name]:
                raise DeploymentError(
                    f"{name} changed while it was being packed",
                    where=self.model_version.file(name),
                    why=f"Its SHA-256 is {found[:12]}, but it was {self.served[name][:12]}",
                    do="export the model version again",
                    stage="onnx_model",
                )
        manifest = {**self.model_version.manifest, "served": dict(self.served)}
        return {**files, MANIFEST: to_json(manifest).encode(), CODE: self.code}

    @cached_property
    def archive(self) -> bytes:
        """The archive, a gzipped tar: the same content gives the same bytes."""
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
    """Bundle a model version with the installed code, after comparing its files with the manifest. Writes nothing.

    Parameters
    ----------
    model : ModelVersion, or Path or str
        A model version, or its folder.

    Raises
    ------
    DeploymentError
        If there is no such version, a file is missing, or its bytes differ from the manifest.
    """
    model_version = model if isinstance(model, ModelVersion) else ModelVersion(Path(model))
    served = served_digests(model_version)
    return Bundle(model_version, {name: served[name] for name in BUNDLE_FILES}, code_archive())
