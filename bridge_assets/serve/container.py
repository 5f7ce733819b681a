"""Start a container: find the bundle, verify it, and serve with the code inside it.

This is the only file of bridge_assets in the image. No other part of bridge_assets is imported before the bundle's
`code.zip` is first in `sys.path`. The container is configured with environment variables:

=============================  ===========================================================================
BRIDGE_ASSETS_PACKAGE          The bundle: a folder, an archive, or a URL (s3://, gs://, https://).
BRIDGE_ASSETS_PACKAGE_SHA256   SHA-256 of the archive; verified before anything is unpacked.
BRIDGE_ASSETS_SLOT             `Bundle.slot`, which identifies model, normalization, probe and code; verified before any
                               code is run. A bundle from a URL is run only if this or the digest is set.
AZUREML_MODEL_DIR              Folder in which Azure ML mounts the bundle; used if no package is set.
AIP_STORAGE_URI                URL to which Vertex AI copied the bundle; used if no package is set.
(none of these)                /opt/ml/model, where SageMaker unpacks the bundle.
BRIDGE_ASSETS_PORT             Default: AIP_HTTP_PORT (Vertex AI), SAGEMAKER_BIND_TO_PORT, or 8080. 0 = any free port.
BRIDGE_ASSETS_HOST             Default: 0.0.0.0.
BRIDGE_ASSETS_TOKEN            The bearer token of requests, BRIDGE_ASSETS_WITHOUT_TOKEN=1 if something in front of the
                               container admits callers, BRIDGE_ASSETS_REQUESTS_PER_SECOND (`access`). The Dockerfile
                               sets the last two, since a provider does that for its endpoints.
BRIDGE_ASSETS_CLOSING_SECONDS  Seconds for which requests are accepted after SIGTERM (`server`).
AIP_HEALTH_ROUTE and others    Read by the app (`app.make_app`).
=============================  ===========================================================================

A folder contains either the unpacked bundle or one `bundle.tar.gz`. If the container cannot start, it prints the reason
in one line on stderr and exits with code 2.
"""

from __future__ import annotations

import atexit
import gzip
import hashlib
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

ARCHIVE_NAME, MANIFEST, CODE = "bundle.tar.gz", "manifest.json", "code.zip"
BUNDLE_FILES = ("model.onnx", "normalization.json", "probe.json")

#: Maximum size of one unpacked file in bytes. A chosen limit: far above any model, too little to fill a disk.
MAX_FILE_BYTES = 1 << 30

SAGEMAKER_FOLDER = "/opt/ml/model"

_REDEPLOY_HINT = "deploy the version again"


class StartError(Exception):
    """The container cannot start. The message says what, where, why, and what to do."""

    def __init__(self, what: str, *, where: object, why: str, do: str) -> None:
        super().__init__(f"{where}: {what}. {why}. What to do: {do}.")


def main(environ: Mapping[str, str] = os.environ) -> NoReturn:
    # Process 1 of a container ignores SIGTERM unless it installs a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Requests run in parallel already; a thread pool of polars would only cost memory.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    try:
        folder = bundle_folder(environ)
        slot = verify_bundle(folder, environ.get("BRIDGE_ASSETS_SLOT"))
        port = port_of(environ)
        here = str(Path(__file__).parent)
        sys.path[:] = [str(folder / CODE), *(path for path in sys.path if path != here)]

        from bridge_assets.serve import server

        if environ.get("BRIDGE_ASSETS_TOKEN") and not hasattr(server, "AccessRules"):
            raise StartError(
                "the code in this bundle does not check tokens",
                where="BRIDGE_ASSETS_TOKEN",
                why=f"The bundle {slot} is older than this variable, and anybody could call it",
                do="unset the variable, or deploy the version again as a new deployment",
            )
        host = environ.get("BRIDGE_ASSETS_HOST", "0.0.0.0")  # noqa: S104 # the container's own network
        server.serve_package(folder, slot, host, port)
    except Exception as error:  # the container's log must have the reason in one line, whatever it is
        # DeploymentError cannot be imported here, so its attribute `do` identifies it.
        is_explained = isinstance(error, StartError) or hasattr(error, "do")
        message = str(error) if is_explained else f"{type(error).__name__}: {error}"
        print(" ".join(message.split()), file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(2)
    sys.exit(0)


def bundle_folder(environ: Mapping[str, str]) -> Path:
    """The folder of the unpacked bundle; an archive is compared with its digest and unpacked below /tmp."""
    sha256 = environ.get("BRIDGE_ASSETS_PACKAGE_SHA256")
    named = (environ.get(variable) for variable in ("BRIDGE_ASSETS_PACKAGE", "AZUREML_MODEL_DIR", "AIP_STORAGE_URI"))
    source = next(filter(None, named), SAGEMAKER_FOLDER)
    if "://" in source:
        return _download(source, sha256, is_pinned=bool(sha256 or environ.get("BRIDGE_ASSETS_SLOT")))
    path = Path(source)
    # If the model is a folder, Azure ML mounts it one level below AZUREML_MODEL_DIR.
    for folder in (path, *(sorted(path.iterdir()) if path.is_dir() else ())):
        if (folder / ARCHIVE_NAME).is_file():
            return _unpack_file(folder / ARCHIVE_NAME, sha256)
        if (folder / MANIFEST).is_file():
            if sha256:
                raise StartError(
                    "this folder cannot be compared with BRIDGE_ASSETS_PACKAGE_SHA256",
                    where=folder,
                    why="That is the digest of an archive, but this bundle is unpacked",
                    do="set BRIDGE_ASSETS_SLOT instead, which identifies the content",
                )
            return folder
    if path.is_file():
        return _unpack_file(path, sha256)
    raise StartError(
        "no bundle was found",
        where=path,
        why=f"It contains neither {ARCHIVE_NAME} nor {MANIFEST}" if path.is_dir() else "The path does not exist",
        do="set BRIDGE_ASSETS_PACKAGE to a folder, an archive or a URL",
    )


def verify_bundle(folder: Path, expected: str | None) -> str:
    """The slot of a bundle (`Bundle.slot`), after comparing its files with the manifest.

    Raises StartError if a file is damaged or the slot is not the expected one.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version, served = manifest["version"], dict(manifest["served"])
        digests = {name: _digest(folder / name) for name in (*BUNDLE_FILES, CODE)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartError(
            "this bundle is not complete", where=folder, why=f"{type(error).__name__}: {error}", do=_REDEPLOY_HINT
        ) from error
    for name in BUNDLE_FILES:
        if digests[name] != served.get(name):
            raise StartError(
                f"{name} is not what was deployed",
                where=folder / name,
                why=f"Its SHA-256 is {digests[name][:12]}, the manifest says {str(served.get(name))[:12]}",
                do=_REDEPLOY_HINT,
            )
    slot = f"m{version}-{hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:12]}"
    # An expected slot may end with the digest of the runtime config.
    if expected and slot != expected and not expected.startswith(f"{slot}-"):
        why = f"It is {slot}, BRIDGE_ASSETS_SLOT says {expected}"
        raise StartError("this is not the expected bundle", where=folder, why=why, do=_REDEPLOY_HINT)
    return expected or slot


def port_of(environ: Mapping[str, str]) -> int:
    """The port that the provider has set, or 8080."""
    for variable in ("BRIDGE_ASSETS_PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"):
        if value := environ.get(variable):
            if value.isascii() and value.isdigit() and int(value) < 1 << 16:
                return int(value)
            raise StartError("not a port number", where=variable, why=f"It is {value!r}", do="set it to 0 to 65535")
    return 8080


def _download(url: str, sha256: str | None, *, is_pinned: bool) -> Path:
    parts = urlsplit(url)
    if not parts.path.endswith((".tar.gz", ".tgz")):
        parts = parts._replace(path=f"{parts.path.rstrip('/')}/{ARCHIVE_NAME}")
    # For messages: without user, password and signature.
    redacted_url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    if not is_pinned:
        raise StartError(
            "the expected content of this URL is not set",
            where=redacted_url,
            why="Downloaded code is run only if BRIDGE_ASSETS_PACKAGE_SHA256 or BRIDGE_ASSETS_SLOT identifies it",
            do="set one of them to the value that the deployment printed",
        )
    try:
        import fsspec

        with tempfile.TemporaryFile() as copy:
            remote: Any
            with fsspec.open(urlunsplit(parts), "rb") as remote:
                shutil.copyfileobj(remote, copy)
            return _unpack(copy, sha256, redacted_url)
    except StartError:
        raise
    except Exception as error:  # each storage library raises its own errors
        why = f"{type(error).__name__}: {error}".replace(url, redacted_url)
        do = "correct the address, or the credentials of this container"
        raise StartError("the archive cannot be downloaded", where=redacted_url, why=why, do=do) from None


def _unpack_file(path: Path, sha256: str | None) -> Path:
    with path.open("rb") as archive:
        return _unpack(archive, sha256, path)


def _unpack(archive: BufferedIOBase, sha256: str | None, where: object) -> Path:
    archive.seek(0)
    if sha256 and (found := hashlib.file_digest(archive, "sha256").hexdigest()) != sha256.lower():
        raise StartError(
            "the archive is not what was deployed",
            where=where,
            why=f"Its SHA-256 is {found[:12]}, BRIDGE_ASSETS_PACKAGE_SHA256 says {sha256[:12]}",
            do=_REDEPLOY_HINT,
        )
    archive.seek(0)
    # A restarted container has the same process id; leftovers of the killed one would fill the disk.
    prefix = f"bridge_assets_{os.getpid()}_"
    for leftover in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if (
                    content is None
                    or member.name not in (*BUNDLE_FILES, MANIFEST, CODE)
                    or member.size > MAX_FILE_BYTES
                ):
                    raise tarfile.TarError(f"{member.name!r} is not part of a bundle, or is too large")
                with (folder / member.name).open("xb") as file:
                    shutil.copyfileobj(content, file)
            while unzipped.read(1 << 16):  # to the end, so that gzip verifies its checksum
                pass
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise StartError(
            "the archive cannot be unpacked", where=where, why=f"{type(error).__name__}: {error}", do=_REDEPLOY_HINT
        ) from error
    return folder


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
