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
from bridge_assets.deployment.core.packing import read_served_files
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.package import MANIFEST, MODEL, NORMALIZATION, PROBE, content_digest
from bridge_assets.runtime.probe import Probe
from bridge_assets.storage import atomic_write, json_digest

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
    contents : mapping of str to bytes
        File -> content, of everything in the archive, as it was read once: later changes on disk do not reach it.
    runtime_config_digest : str
        First hex digits of the digest of the settings that it runs under (`with_runtime_config`); empty = none.
    """

    model_version: ModelVersion
    contents: Mapping[str, bytes] = field(repr=False)
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
        names = (*BUNDLE_FILES, CODE)
        content = content_digest({name: hashlib.sha256(self.contents[name]).hexdigest() for name in names})
        return f"m{self.version}-{content}" + (f"-{self.runtime_config_digest}" if self.runtime_config_digest else "")

    def with_runtime_config(self, runtime_config: Mapping[str, Any]) -> Self:
        """The same content under settings such as image and machine; other settings give another slot."""
        return self.with_digest(json_digest(dict(runtime_config))[:3] if runtime_config else "")

    def with_digest(self, runtime_config_digest: str) -> Self:
        """The same content under settings with a known digest."""
        return replace(self, runtime_config_digest=runtime_config_digest)

    @cached_property
    def probe(self) -> Probe:
        return Probe.from_json(self.contents[PROBE].decode(), self.model_version.file(PROBE))

    @cached_property
    def archive(self) -> bytes:
        """The archive, a gzipped tar: the same content gives the same bytes."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in sorted(self.contents.items()):
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
        for name, content in self.contents.items():
            (folder / name).write_bytes(content)
        return folder


def bundle_of(model: ModelVersion | Path | str, judged: Mapping[str, str] | None = None) -> Bundle:
    """Bundle a model version with the installed code. Writes nothing.

    Parameters
    ----------
    model : ModelVersion, or Path or str
        A model version, or its folder.
    judged : mapping of str to str, optional
        File -> SHA-256 that the gate decided about; see `read_served_files`.

    Raises
    ------
    DeploymentError
        If there is no such version, a file is missing, or its bytes differ from the manifest or from those judged.
    """
    model_version = model if isinstance(model, ModelVersion) else ModelVersion(Path(model))
    files = read_served_files(model_version, judged).only(BUNDLE_FILES)
    return Bundle(model_version, {**files.contents, MANIFEST: files.package_manifest(), CODE: code_archive()})
