"""Copies remote files to the local disk: one address, or a folder of survey files in a bucket.

http:// and https:// use `download`; s3://, gs://, abfs:// and other schemes use fsspec. A file with the same ETag (or
checksum, or date) as the local copy is not downloaded again.
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
from bridge_assets.extras import install_command
from bridge_assets.storage import atomic_write, digest

#: Scheme -> (library, extra of this project). fsspec handles other schemes on its own.
EXTRAS = {
    "s3": ("s3fs", "aws"),
    "gs": ("gcsfs", "gcp"),
    "gcs": ("gcsfs", "gcp"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "az": ("adlfs", "azure"),
}

#: Keys under which file systems report the version of a file, best first.
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
    """A file in a remote folder: its name relative to that folder, address, size in bytes, and version."""

    name: str
    address: str
    bytes: int
    version: str


def is_remote(address: str) -> bool:
    """Whether a file has to be copied before it can be read: any address with a scheme other than file://."""
    scheme, separator, _ = address.partition("://")
    return bool(separator) and scheme.lower() not in ("file", "local", "")


def local_copy(address: str, folder: Path, progress: ProgressCallback = _log.info) -> Path:
    """The path of an up-to-date local copy of a remote file.

    Parameters
    ----------
    address : str
        http://, https://, s3://, gs://, abfs:// and other schemes that fsspec supports.
    folder : Path
        Folder of the copies; each is stored below scheme, host and path of its address.
    progress : callable
        Called with each progress message.

    Returns
    -------
    Path
        A file with the name of the remote one; or `name.<12 digits of its SHA-256>` if the remote file was revised
        since it was first copied. The older copy is kept.

    Raises
    ------
    SourceError
        If the file does not exist or cannot be read, or the library or the credentials for it are missing.
    StorageError
        If the copy cannot be written.
    """
    return copy_remote_file(address, copy_path(address, folder), progress).path


def copy_remote_file(address: str, target: Path, progress: ProgressCallback = _log.info) -> DownloadedFile:
    """Copy a remote file to a target, unless the local copy is still current. Raises as `local_copy`."""
    if urlsplit(address).scheme.lower() in ("http", "https"):
        return download(address, target, progress=progress)
    with exclusive_lock(target, progress), _translate_errors(address):
        files, path = _file_system(address)
        info = files.info(path)
        if info["type"] == "directory":
            raise SourceError(
                "this is a folder",
                where=redact_url(address),
                why="A single file was expected",
                do="use the address of a file in it",
            )
        remote_version, existing = _remote_version(info), read_download_record(target, address)
        if existing and existing.etag == remote_version:
            return downloaded_file(target, existing, None, 0)
        progress(f"{target.name}: copying {info['size'] / 1e6:,.1f} MB from {redact_url(address)}")
        with atomic_write(target.with_name(f".{target.name}.whole")) as temp_path:
            files.get_file(path, str(temp_path))
            if (copied_bytes := temp_path.stat().st_size) != info["size"]:
                raise SourceError(
                    "the copy is incomplete",
                    where=redact_url(address),
                    why=f"The file has {info['size']:,} bytes, but {copied_bytes:,} were received",
                    do="run again; if the file is just being written, wait until it is complete",
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
    """The files in a remote folder and in its immediate subfolders, by name.

    Raises
    ------
    SourceError
        If it does not exist or cannot be listed, or the library or the credentials for it are missing.
    """
    if urlsplit(folder).scheme.lower() in ("http", "https"):
        raise SourceError(
            "a web server has no folders that can be listed",
            where=redact_url(folder),
            why="`source` is this address",
            do="use the address of a file with its year in its name, set source to `fhwa`, or use a bucket",
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
    """The path of the copy of an address: below scheme, host and path, so that two addresses never share a copy."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2].replace(":", "_")
    path_parts = [step for step in unquote(parts.path).split("/") if step.strip(". ")]
    if parts.query:  # the same path with a different query is a different file
        path_parts.insert(len(path_parts) - 1, hashlib.sha256(parts.query.encode()).hexdigest()[:12])
    if not path_parts:
        raise SourceError(
            "this address does not name a file",
            where=redact_url(address),
            why="It has no path",
            do="correct the address",
        )
    return folder.joinpath(parts.scheme.lower(), host, *(step.replace("\0", "") for step in path_parts))


def _file_system(address: str) -> tuple[Any, str]:
    import fsspec

    # A cached listing would hide a file that has just arrived.
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
    """Translate the errors of remote file systems: each cloud library has its own error classes."""
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
            why="The libraries of the clouds are optional extras",
            do=f"run `{install_command(extra)}`" if extra else "install it",
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
            "access denied",
            where=where,
            why=_error_line(error),
            do="check that the credentials in use may list and read this address",
        ) from None
    except Exception as error:
        if "credential" in f"{type(error).__name__} {error}".lower():
            raise SourceError(
                "no credentials for this address",
                where=where,
                why=_error_line(error),
                do=f"set the credentials of the service ({_credentials_hint(scheme)})",
            ) from None
        if isinstance(error, ValueError) and "protocol" in str(error).lower():
            raise SourceError(
                f"{scheme}:// is not supported",
                where=where,
                why=_error_line(error),
                do="use s3://, gs://, abfs:// or https://",
            ) from None
        raise SourceError(
            "the address cannot be reached",
            where=where,
            why=_error_line(error),
            do="check the network, the address and the credentials",
        ) from error


def _error_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _credentials_hint(scheme: str) -> str:
    return {
        "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role",
        "gs": "GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth application-default login",
        "abfs": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with a key",
    }.get({"gcs": "gs", "abfss": "abfs", "az": "abfs"}.get(scheme, scheme), "see its documentation")
