"""Local copies of remote files: their paths, download records, and revised files.

A copy is never overwritten. A download that differs from the expected digest, or from the existing copy, is a *revised
file*: it is stored in the same folder as `name.<first 12 digits of its SHA-256>.zip` and reported as revised. All other
files in such a folder (partial files, locks, download records) have names that begin with a dot, unlike survey files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bridge_assets.data.reading.file_names import REVISION_DIGITS, revised_file_name
from bridge_assets.errors import StorageError
from bridge_assets.file_lock import file_lock
from bridge_assets.storage import digest, write_json

ProgressCallback = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """A local copy of a remote file.

    Attributes
    ----------
    path : Path
        Path of the copy.
    sha256 : str
    bytes : int
    address : str
        Address of the remote file, without credentials or query.
    etag, last_modified : str
        As sent by the server; empty if it sent none.
    revised : bool
        Its SHA-256 differs from the expected one or, if none is known, from that of `previous_copy`.
    previous_copy : Path or None
        The earlier copy under the plain name, if that is a different file.
    bytes_transferred : int
        Bytes downloaded by this call: 0 if the server reported no change.
    """

    path: Path
    sha256: str
    bytes: int
    address: str
    etag: str = ""
    last_modified: str = ""
    revised: bool = False
    previous_copy: Path | None = None
    bytes_transferred: int = 0


@dataclass(frozen=True, slots=True)
class DownloadRecord:
    """What was recorded when a remote file was last copied."""

    address: str
    file: str
    sha256: str
    bytes: int
    etag: str
    last_modified: str


def redact_url(address: str) -> str:
    """An address that may be logged and stored: without credentials, query and fragment, which can contain secrets."""
    parts = urlsplit(address)
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    if "://" in address and not shown.netloc:
        return f"{shown.scheme}://{shown.path}"  # urllib would drop slashes of sqlite:////var/mlflow.db
    return shown.geturl()


def acceptance_remedy(*sha256: str) -> str:
    """What a person does to use revised files."""
    digits = " and ".join(each[:REVISION_DIGITS] for each in sha256)
    use = "it" if len(sha256) == 1 else "them"
    return f"to use {use}, add {digits} to fhwa.accept_revised in configs/data_config.yaml"


def read_download_record(target: Path, address: str) -> DownloadRecord | None:
    """The download record for an address, if the copy still exists and its bytes are unchanged."""
    try:
        record = DownloadRecord(**json.loads(_record_path(target).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # without a record, the file is downloaded again
    path = target.with_name(record.file)
    if record.address != redact_url(address) or not path.is_file() or digest(path) != record.sha256:
        return None
    return record


def write_download_record(target: Path, copy: DownloadedFile) -> None:
    """Record a copy for the next call."""
    record = DownloadRecord(copy.address, copy.path.name, copy.sha256, copy.bytes, copy.etag, copy.last_modified)
    write_json(asdict(record), _record_path(target))


def store_download(downloaded: Path, target: Path, sha256: str, expected: str | None) -> Path:
    """Move a complete, verified file to its final name, and return its path.

    The plain name is for the file with the expected digest or, if no digest is expected, for the first copy.
    """
    existing_digest = digest(target) if target.is_file() else None
    if existing_digest == sha256:
        downloaded.unlink()
        return target
    is_expected = existing_digest is None and expected in (None, sha256)
    path = target if is_expected else target.with_name(revised_file_name(target.name, sha256))
    downloaded.replace(path)
    return path


def downloaded_file(target: Path, record: DownloadRecord, expected: str | None, transferred: int) -> DownloadedFile:
    """Describe a copy, comparing it with the expected digest and with the copy under the plain name."""
    previous_copy = target if target.is_file() and target.name != record.file else None
    revised = record.sha256 != expected if expected is not None else previous_copy is not None
    return DownloadedFile(
        path=target.with_name(record.file),
        sha256=record.sha256,
        bytes=record.bytes,
        address=record.address,
        etag=record.etag,
        last_modified=record.last_modified,
        revised=revised,
        previous_copy=previous_copy,
        bytes_transferred=transferred,
    )


@contextmanager
def exclusive_lock(target: Path, progress: ProgressCallback | None = None) -> Iterator[None]:
    """Hold the lock of a copy: other processes that need the same file wait, and then use the copy."""

    def report_wait(holder: str) -> None:
        if progress:
            progress(f"{target.name}: waiting for another process that is downloading it")

    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(target.with_name(f".{target.name}.lock"), on_wait=report_wait))
        except OSError as error:
            raise StorageError(
                f"{target.parent} cannot be written: {error.strerror}", do="check the folder and its permissions"
            ) from error
        yield


def _record_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.json")
