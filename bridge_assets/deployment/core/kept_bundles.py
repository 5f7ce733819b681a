"""Bundles kept with their model version, so that a rollback brings back the code that was deployed then.

    <model version>/bundles/<slot>.tar.gz          the archive as it was first deployed; the slot without the digits of
                                                   the runtime config
    <model version>/bundles/<slot>.tar.gz.sha256   its digest, in the format of `sha256sum --check`

Belongs here: writing, opening and verifying kept bundles. Does not belong here: the contents of a bundle (`bundle`),
and when it is sent (`target`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bridge_assets.deployment.core.bundle import BUNDLE_FILES, CODE, SLOT, Bundle
from bridge_assets.errors import DeploymentError, error_summary
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.package import MANIFEST
from bridge_assets.storage import write_text

FOLDER = "bundles"


@dataclass(frozen=True)
class KeptBundle(Bundle):
    """A bundle read from its kept archive: its bytes do not depend on the installed code or the version's files.

    Attributes
    ----------
    packed : bytes
        The archive itself.
    """

    packed: bytes = field(default=b"", repr=False)

    @cached_property
    def archive(self) -> bytes:
        return self.packed


def kept_path(model_version: ModelVersion, slot: str) -> Path:
    """Where the bundle of a slot is kept; the digits of the runtime config do not matter."""
    return model_version.folder / FOLDER / f"{'-'.join(slot.split('-')[:2])}.tar.gz"


def keep_bundle(bundle: Bundle) -> Bundle:
    """Keep a bundle with its model version and return the kept one.

    An intact kept bundle with the same content is reused; any other of the same slot is written again.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    if isinstance(bundle, KeptBundle):
        return bundle
    path = kept_path(bundle.model_version, bundle.slot)
    kept = None
    with suppress(DeploymentError):
        kept = open_kept_bundle(bundle.model_version, bundle.slot)
    if kept is None or kept.contents != bundle.contents:
        # The digest first, so that an existing archive always has one. Every deployment writes the same bytes.
        write_text(f"{bundle.digest}  {path.name}\n", _digest_path(path))
        bundle.write(path)
        kept = open_kept_bundle(bundle.model_version, bundle.slot)
    return kept.with_digest(bundle.runtime_config_digest)


def open_kept_bundle(model_version: ModelVersion, slot: str) -> KeptBundle:
    """Open the kept bundle of a slot, after comparing every digest and the slot's name with its content.

    Parameters
    ----------
    model_version : ModelVersion
    slot : str
        With or without the digits of the runtime config. The bundle is returned without them.

    Raises
    ------
    DeploymentError
        If it is missing, damaged, or not the bundle of this slot.
    """
    path = kept_path(model_version, slot)
    do = (
        f"copy it with its .sha256 file from the machine that deployed it, or deploy model version "
        f"{model_version.version} as a new deployment, which bundles it with the installed code"
    )
    if not SLOT.fullmatch(slot):
        raise DeploymentError(f"{slot!r} is not the name of a slot", where=path.parent, do=do)
    try:
        packed = path.read_bytes()
        recorded = _digest_path(path).read_text(encoding="ascii").partition(" ")[0].strip()
    except (OSError, ValueError) as error:
        what = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise DeploymentError(
            f"the kept bundle of slot {slot} {what}", where=path, why=error_summary(error), do=do
        ) from error
    try:
        if (found := hashlib.sha256(packed).hexdigest()) != recorded:
            raise ValueError(f"its SHA-256 is {found[:12]}, but {recorded[:12]} was recorded")
        contents = _read_archive(packed)
        _verify_digests(contents)
        kept = KeptBundle(model_version, contents, packed=packed)
        if kept_path(model_version, kept.slot) != path:
            raise ValueError(f"its content belongs to slot {kept.slot}")
    except (ValueError, KeyError, TypeError, EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise DeploymentError(
            f"the kept bundle of slot {slot} is damaged", where=path, why=error_summary(error), do=do
        ) from error
    return kept


def _digest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _read_archive(packed: bytes) -> dict[str, bytes]:
    """File -> content. Raises ValueError if the archive does not contain exactly the files of a bundle."""
    contents: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None or member.name in contents:
                raise ValueError(f"{member.name!r} is not a file, or occurs twice")
            contents[member.name] = content.read()
    if (names := set(contents)) != (expected := {*BUNDLE_FILES, MANIFEST, CODE}):
        raise ValueError(f"missing or unexpected files: {', '.join(sorted(names ^ expected))}")
    return contents


def _verify_digests(contents: Mapping[str, bytes]) -> None:
    """Raises ValueError if one of `BUNDLE_FILES` differs from the bundle's own manifest."""
    recorded = json.loads(contents[MANIFEST])["served"]
    changed = [name for name in BUNDLE_FILES if hashlib.sha256(contents[name]).hexdigest() != recorded.get(name)]
    if changed:
        raise ValueError(f"files differ from its manifest: {', '.join(changed)}")
