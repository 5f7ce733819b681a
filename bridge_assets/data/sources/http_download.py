"""Downloads one file: streamed, resumed and verified, and skipped if it has not changed.

Bytes go to `.name.part` in the folder of the target, so that a later call, in this process or another, resumes an
interrupted download. Only a complete file gets the name of a survey file; `local_copies` decides which name.
"""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bridge_assets.data.sources import http_checks
from bridge_assets.data.sources.http_partial import PartialDownload
from bridge_assets.data.sources.http_request import RetryableError, is_web_page, open_response, redacted_message
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
from bridge_assets.storage import digest

if TYPE_CHECKING:
    import requests
    from urllib3.util import Retry

#: More than any survey file: the largest national text file is about 300 MB.
MAX_BYTES = 4 << 30

#: Small, because the contents of the buffer are lost, and downloaded again, if the connection is cut.
CHUNK_BYTES = 64 << 10

#: Longest wait, in seconds, that a server may request with `Retry-After`.
MAX_RETRY_AFTER_SECONDS = 300

_log = logging.getLogger(__name__)


def download(
    address: str,
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: ProgressCallback = _log.info,
    progress_interval: float = 10.0,
    attempts: int = 6,
    backoff: float = 1.0,
    timeout: float = 60.0,
    max_bytes: int = MAX_BYTES,
    not_found_hint: str = "check the address in a browser",
) -> DownloadedFile:
    """Download a file from a web server, unless the local copy is still current.

    Parameters
    ----------
    address : str
        http:// or https://.
    target : Path
        Path of the copy. An existing file with other bytes is never overwritten: see `local_copies`.
    sha256 : str, optional
        The expected SHA-256, in hex. A file with another digest is stored separately and reported as `revised`.
    size : int, optional
        The expected number of bytes. Any other size is an error.
    progress : callable
        Called with a message every `progress_interval` seconds (bytes and rate), and at every new attempt.
    progress_interval : float
        Seconds.
    attempts : int
        Maximum number of requests. Connection errors, interruptions, 408, 425, 429 and 5xx are retried.
    backoff : float
        Seconds before the third attempt; doubled each time. `Retry-After` from the server takes precedence.
    timeout : float
        Seconds without a byte after which the connection counts as lost.
    max_bytes : int
        A larger file is refused.
    not_found_hint : str
        What to do if the server does not have the file, for the error message.

    Returns
    -------
    DownloadedFile

    Raises
    ------
    SourceError
        If the server does not provide the file, or sends a web page, a damaged archive or the wrong number of bytes.
    StorageError
        If it cannot be written. The bytes received so far are kept, and the next call resumes the download.
    """
    from urllib3.exceptions import HTTPError
    from urllib3.util import Retry

    transfer = _Transfer(address, target, sha256, size, progress, progress_interval, timeout, max_bytes, not_found_hint)
    retry = Retry(total=attempts - 1, backoff_factor=backoff, backoff_max=60)
    with exclusive_lock(target, progress):
        while True:
            try:
                return transfer.attempt()
            except RetryableError as failed:
                try:
                    retry = retry.increment("GET", redact_url(address), error=HTTPError(failed.why))
                except HTTPError:
                    _raise_download_error(address, f"{attempts} attempts failed, the last one because {failed.why}")
                wait = _retry_delay(retry, failed)
                if wait > MAX_RETRY_AFTER_SECONDS:
                    _raise_download_error(address, f"{failed.why} and requires a wait of {wait:.0f} seconds")
                progress(f"{target.name}: {failed.why}; trying again" + (f" in {wait:.1f} s" if wait else ""))
                time.sleep(wait)


def url_exists(address: str, *, timeout: float = 20.0) -> bool:
    """Whether a server has a file, without downloading it (HEAD). Raises SourceError if the request fails."""
    try:
        with open_response("HEAD", address, {}, timeout, "") as response:
            return not is_web_page(response.headers.get("Content-Type", ""), b"")
    except RetryableError as failed:
        _raise_download_error(address, failed.why)
    except SourceError as error:
        if error.what == "the file does not exist at this address":
            return False
        raise


@dataclass
class _Transfer:
    address: str
    target: Path
    sha256: str | None
    size: int | None
    progress: ProgressCallback
    progress_interval: float
    timeout: float
    max_bytes: int
    not_found_hint: str
    bytes_transferred: int = 0

    def attempt(self) -> DownloadedFile:
        """Send one request and handle the response."""
        partial = PartialDownload.for_target(self.target)
        validator = partial.if_range_validator(self.address)
        start = partial.bytes if validator else 0
        existing = read_download_record(self.target, self.address)
        if start:
            headers = {"Range": f"bytes={start}-", "If-Range": validator}
        elif existing:
            conditional_headers = {"If-None-Match": existing.etag, "If-Modified-Since": existing.last_modified}
            headers = {name: value for name, value in conditional_headers.items() if value}
        else:
            headers = {}
        with open_response("GET", self.address, headers, self.timeout, self.not_found_hint) as response:
            if response.status_code == 304 and existing:
                return downloaded_file(self.target, existing, self.sha256, self.bytes_transferred)
            if response.status_code in (304, 416):
                partial.discard()
                raise RetryableError(f"the server returned {response.status_code} for the request to resume")
            http_checks.check_response_headers(response, self.address)
            etag, modified = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
            if response.status_code == 206:
                start, total = self._check_content_range(response, partial, start)
            else:
                start, total = 0, _content_length(response)
                partial.start(self.address, etag, modified, total)
            self._check_size(total, partial)
            self._stream(response, partial, start, total)
        return self._finish(partial, etag, modified)

    def _check_content_range(
        self, response: requests.Response, partial: PartialDownload, start: int
    ) -> tuple[int, int | None]:
        """The first byte of a partial response and the total length, after comparing them with the request."""
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != start or not start:
            partial.discard()
            raise RetryableError("the server sent a different range than requested")
        total = None if found[3] == "*" else int(found[3])
        announced_total = partial.expected_bytes
        if announced_total is not None and total is not None and total != announced_total:
            partial.discard()
            raise RetryableError(f"the server first reported {announced_total:,} bytes and then {total:,}")
        return start, total

    def _check_size(self, total: int | None, partial: PartialDownload) -> None:
        if total is not None and total > self.max_bytes:
            partial.discard()
            http_checks.raise_too_large(self.address, self.max_bytes, f"The server reports {total / 1e6:,.0f} MB")
        if total is not None and self.size is not None and total != self.size:
            partial.discard()
            http_checks.raise_wrong_size(self.address, self.size, total)

    def _stream(self, response: requests.Response, partial: PartialDownload, start: int, total: int | None) -> None:
        from requests.exceptions import RequestException

        received, began, last_report = start, time.monotonic(), time.monotonic()
        try:
            with partial.path.open("ab") as file:
                for chunk in response.iter_content(CHUNK_BYTES):
                    if not received and is_web_page("", chunk):
                        http_checks.raise_web_page(self.address)
                    if (received := received + len(chunk)) > self.max_bytes:
                        partial.discard()
                        http_checks.raise_too_large(
                            self.address, self.max_bytes, f"More than {self.max_bytes / 1e6:,.0f} MB were received"
                        )
                    file.write(chunk)
                    self.bytes_transferred += len(chunk)
                    if time.monotonic() - last_report >= self.progress_interval:
                        last_report = time.monotonic()
                        of = f" of {total / 1e6:,.1f}" if total else ""
                        rate = (received - start) / 1e6 / (last_report - began)
                        self.progress(f"{self.target.name}: {received / 1e6:,.1f}{of} MB, {rate:.1f} MB/s")
                file.flush()
                os.fsync(file.fileno())
        except RequestException as cut:
            raise RetryableError(
                f"the connection was cut after {partial.bytes:,} bytes ({redacted_message(cut, self.address)})"
            ) from cut
        except OSError as error:
            raise StorageError(
                f"{self.target} was not written: {error.strerror or error}",
                why="The bytes received so far are kept",
                do="free some space or correct the permissions, then run again",
            ) from error
        if total is not None and received != total:
            if received > total:
                partial.discard()
            raise RetryableError(f"the server reported {total:,} bytes, but {received:,} were received")

    def _finish(self, partial: PartialDownload, etag: str, last_modified: str) -> DownloadedFile:
        length = partial.bytes
        if not length or (self.size is not None and length != self.size):
            partial.discard()
            http_checks.raise_wrong_size(self.address, self.size, length)
        sha256 = digest(partial.path)
        if sha256 != self.sha256:
            # Without the expected digest, a file cut short by a wrong length would look like a revised file.
            http_checks.check_zip_complete(partial, self.target, self.address)
            http_checks.check_no_extra_bytes(partial, self.address, self.timeout)
        place = store_download(partial.path, self.target, sha256, self.sha256)
        partial.discard()
        record = DownloadRecord(redact_url(self.address), place.name, sha256, length, etag, last_modified)
        copy = downloaded_file(self.target, record, self.sha256, self.bytes_transferred)
        write_download_record(self.target, copy)
        return copy


def _retry_delay(retry: Retry, failed: RetryableError) -> float:
    """Seconds until the next attempt: as requested by the server, else the backoff."""
    from urllib3.exceptions import InvalidHeader

    retry_after = failed.response.headers.get("Retry-After") if failed.response is not None else None
    with suppress(InvalidHeader):
        return retry.parse_retry_after(retry_after) if retry_after else retry.get_backoff_time()
    return retry.get_backoff_time()


def _content_length(response: requests.Response) -> int | None:
    content_length = response.headers.get("Content-Length", "")
    return int(content_length) if content_length.isdigit() else None


def _raise_download_error(address: str, why: str) -> NoReturn:
    raise SourceError(
        "the file could not be downloaded",
        where=redact_url(address),
        why=why[0].upper() + why[1:],
        do="check the network and the address, then run again: the download resumes where it stopped",
    )
