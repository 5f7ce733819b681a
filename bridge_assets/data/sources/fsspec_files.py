"""Files that lie elsewhere, and their copies here: one address, or a folder of survey files in a bucket.

http:// and https:// go through `download`; s3://, gs://, abfs:// and whatever else fsspec knows go through fsspec. A
file whose ETag (or checksum, or date) is the one of the copy is not transferred again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bridge_assets.data.sources.http_download import download
from bridge_assets.data.sources.local_copies import (
    DownloadedFile,
    DownloadRecord,
    ProgressCallback,
    downloaded_file,
    exclusive_lock,
    read_download_record,
    redact_url,
    store_download,
    write_download_record,
)
from bridge_assets.errors import SourceError, StorageError
from bridge_assets.storage import atomic_write, digest

#: Scheme -> (library, extra of this project). Other schemes are fsspec's own matter.
EXTRAS = {
    "s3": ("s3fs", "aws"),
    "gs": ("gcsfs", "gcp"),
    "gcs": ("gcsfs", "gcp"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "az": ("adlfs", "azure"),
}

#: What file systems call the version of a file's bytes, best first.
VERSION_KEYS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "generation",
    "LastModified",
    "last_modified",
    "mtime",
    "created",
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a remote folder: its name below that folder, its address, size in bytes, and version."""

    name: str
    address: str
    bytes: int
    version: str


def is_remote(address: str) -> bool:
    """Whether an address has to be copied before it can be read: anything with a scheme but file://."""
    scheme, separator, _ = address.partition("://")
    return bool(separator) and scheme.lower() not in ("file", "local", "")


def local_copy(address: str, folder: Path, progress: ProgressCallback = _log.info) -> Path:
    """The path of a copy of a remote file that is the remote file as it is now.

    Parameters
    ----------
    address : str
        http://, https://, s3://, gs://, abfs:// and what else fsspec knows.
    folder : Path
        Where copies lie: each below scheme, host and path of its address.
    progress : callable
        Given progress lines.

    Returns
    -------
    Path
        A file of the address's name; of another one, `name.<12 digits of its SHA-256>`, where the remote file was
        revised since it was first copied. The older copy stays.

    Raises
    ------
    SourceError
        If the file does not exist or cannot be read, or the library or the credentials for it are missing.
    StorageError
        If the copy cannot be written.
    """
    return copy_remote_file(address, copy_path(address, folder), progress).path


def copy_remote_file(address: str, target: Path, progress: ProgressCallback = _log.info) -> DownloadedFile:
    """Copy a remote file to a target, or find that the copy here is still right. Raises as `local_copy`."""
    if urlsplit(address).scheme.lower() in ("http", "https"):
        return download(address, target, progress=progress)
    with exclusive_lock(target, progress), _translate_errors(address):
        files, path = _file_system(address)
        info = files.info(path)
        if info["type"] == "directory":
            raise SourceError(
                "this is a folder", where=redact_url(address), why="A single file was expected", do="name a file in it"
            )
        remote_version, existing = _remote_version(info), read_download_record(target, address)
        if existing and existing.etag == remote_version:
            return downloaded_file(target, existing, None, 0)
        progress(f"{target.name}: copying {info['size'] / 1e6:,.1f} MB from {redact_url(address)}")
        with atomic_write(target.with_name(f".{target.name}.whole")) as temp_path:
            files.get_file(path, str(temp_path))
            if (copied_bytes := temp_path.stat().st_size) != info["size"]:
                raise SourceError(
                    "the copy is not whole",
                    where=redact_url(address),
                    why=f"The file has {info['size']:,} bytes, and {copied_bytes:,} came",
                    do="run again; if the file is being written just now, later",
                )
        downloaded_path = target.with_name(f".{target.name}.whole")
        sha256 = digest(downloaded_path)
        place = store_download(downloaded_path, target, sha256, None)
        copy = downloaded_file(
            target,
            DownloadRecord(redact_url(address), place.name, sha256, copied_bytes, remote_version, _last_modified(info)),
            None,
            copied_bytes,
        )
        write_download_record(target, copy)
        return copy


def list_remote_files(folder: str) -> list[RemoteFile]:
    """The files of a remote folder and of the folders directly in it, by name.

    Raises
    ------
    SourceError
        If it is not there or cannot be listed, or the library or the credentials for it are missing.
    """
    if urlsplit(folder).scheme.lower() in ("http", "https"):
        raise SourceError(
            "a web server has no folders that can be listed",
            where=redact_url(folder),
            why="`source` names it",
            do="name one file with its year in its name, set source to `fhwa`, or use a bucket",
        )
    with _translate_errors(folder):
        files, root = _file_system(folder)
        root = root.rstrip("/")
        entries = files.find(root, maxdepth=2, detail=True)
        if not entries and not files.exists(root):
            raise FileNotFoundError(root)
        base = folder.rstrip("/")
        names = {str(path).removeprefix(root).strip("/"): info for path, info in entries.items()}
        return [
            RemoteFile(name, f"{base}/{name}", info["size"], _remote_version(info))
            for name, info in sorted(names.items())
            if name
        ]


def copy_path(address: str, folder: Path) -> Path:
    """Where the copy of an address lies: below scheme, host and path, so that two addresses never share one."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2].replace(":", "_")
    path_parts = [step for step in unquote(parts.path).split("/") if step.strip(". ")]
    if parts.query:  # the same path with another query is another file
        path_parts.insert(len(path_parts) - 1, hashlib.sha256(parts.query.encode()).hexdigest()[:12])
    if not path_parts:
        raise SourceError(
            "this is the address of no file", where=redact_url(address), why="It has no path", do="correct it"
        )
    return folder.joinpath(parts.scheme.lower(), host, *(step.replace("\0", "") for step in path_parts))


def _file_system(address: str) -> tuple[Any, str]:
    import fsspec

    # A listing that is remembered would hide the file that has just arrived.
    return fsspec.core.url_to_fs(address, use_listings_cache=False)


def _remote_version(info: dict[str, Any]) -> str:
    for name in VERSION_KEYS:
        if info.get(name):
            return f"{info[name]}".strip('"')
    return f"{info.get('size')} bytes"


def _last_modified(info: dict[str, Any]) -> str:
    return str(
        next((info[name] for name in ("LastModified", "last_modified", "updated", "mtime") if info.get(name)), "")
    )


@contextmanager
def _translate_errors(address: str) -> Iterator[None]:
    """Say what went wrong elsewhere. Each cloud's library has errors of its own, and no common one."""
    scheme = urlsplit(address).scheme.lower()
    where = redact_url(address)
    try:
        yield
    except (SourceError, StorageError):
        raise
    except ImportError as error:
        library, extra = EXTRAS.get(scheme, (str(error), ""))
        raise SourceError(
            f"{scheme}:// needs {library}, which is not installed",
            where=where,
            why="The core installs no cloud's library",
            do=f"pip install 'bridge-assets[{extra}]'" if extra else "install it",
        ) from None
    except FileNotFoundError:
        raise SourceError(
            "nothing found at this address",
            where=where,
            why="The service has no such file or folder",
            do="correct `source` in configs/data_config.yaml, or the address",
        ) from None
    except PermissionError as error:
        raise SourceError(
            "the service does not let us in",
            where=where,
            why=_error_line(error),
            do="check that the credentials in use may list and read there",
        ) from None
    except Exception as error:
        if "credential" in f"{type(error).__name__} {error}".lower():
            raise SourceError(
                "no credentials for this address",
                where=where,
                why=_error_line(error),
                do=f"set those of the service ({_credentials_hint(scheme)})",
            ) from None
        if isinstance(error, ValueError) and "protocol" in str(error).lower():
            raise SourceError(
                f"{scheme}:// is not understood",
                where=where,
                why=_error_line(error),
                do="use s3://, gs://, abfs:// or https://",
            ) from None
        raise SourceError(
            "the address cannot be reached",
            where=where,
            why=_error_line(error),
            do="check network, address and credentials",
        ) from error


def _error_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _credentials_hint(scheme: str) -> str:
    return {
        "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role",
        "gs": "GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth application-default login",
        "abfs": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with a key",
    }.get({"gcs": "gs", "abfss": "abfs", "az": "abfs"}.get(scheme, scheme), "see its documentation")
