"""Copies of remote files on this disk: where one lies, what is known of it, and where a revised one goes.

A copy is never replaced. Bytes that differ from those that were expected, or from those that are here already, are a
*revised file*: it is stored beside, as `name.<first 12 digits of its SHA-256>.zip`, and said to be revised. Everything
else that lies in such a folder (partial files, locks, notes) begins with a dot, as no survey file does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bridge_assets.data.reading.file_names import revised_file_name
from bridge_assets.errors import StorageError
from bridge_assets.file_lock import file_lock
from bridge_assets.storage import digest, write_json

ProgressCallback = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """A copy of a remote file.

    Attributes
    ----------
    path : Path
        Where its bytes lie.
    sha256 : str
    bytes : int
    address : str
        Where they came from, without credentials or query.
    etag, last_modified : str or None
        What the server said of them; empty where it said nothing.
    revised : bool
        Its SHA-256 is not the expected one or, where none is known, not that of `previous_copy`.
    previous_copy : Path or None
        The copy that was here before under the plain name, where that is another one.
    bytes_transferred : int
        Bytes that came over the network for this call: 0 where the server said that nothing changed.
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
    """What was noted when a remote file was copied last."""

    address: str
    file: str
    sha256: str
    bytes: int
    etag: str
    last_modified: str


def redact_url(address: str) -> str:
    """An address as it may be logged and kept: without credentials, query and fragment, which can hold secrets."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def read_download_record(target: Path, address: str) -> DownloadRecord | None:
    """What is known of the copy of an address, if its bytes are still here and still those."""
    try:
        record = DownloadRecord(**json.loads(_record_path(target).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # a note only saves a transfer
    path = target.with_name(record.file)
    if record.address != redact_url(address) or not path.is_file() or digest(path) != record.sha256:
        return None
    return record


def write_download_record(target: Path, copy: DownloadedFile) -> None:
    """Note what was copied, for the next call."""
    record = DownloadRecord(copy.address, copy.path.name, copy.sha256, copy.bytes, copy.etag, copy.last_modified)
    write_json(asdict(record), _record_path(target))


def store_download(downloaded: Path, target: Path, sha256: str, expected: str | None) -> Path:
    """Give a whole, verified file its name; returns where it lies now.

    The plain name is for the expected bytes, or for the first that came where none are expected.
    """
    existing_digest = digest(target) if target.is_file() else None
    if existing_digest == sha256:
        downloaded.unlink()
        return target
    is_expected = existing_digest is None and expected in (None, sha256)
    place = target if is_expected else target.with_name(revised_file_name(target.name, sha256))
    downloaded.replace(place)
    return place


def downloaded_file(target: Path, record: DownloadRecord, expected: str | None, transferred: int) -> DownloadedFile:
    """A copy, judged by what is expected and by what is here."""
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
    """Hold the lock of a copy: whoever else wants the same file waits, and then finds it here."""

    def report_wait(holder: str) -> None:
        if progress:
            progress(f"{target.name}: another process is fetching it; waiting for that")

    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(target.with_name(f".{target.name}.lock"), on_wait=report_wait))
        except OSError as error:
            raise StorageError(f"{target.parent} cannot be written: {error.strerror}. What to do: check it") from error
        yield


def _record_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.json")
