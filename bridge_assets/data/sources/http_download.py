"""Downloading one file: streamed, resumed, verified, and not at all where nothing changed.

Bytes go to `.name.part` beside the target, so that a later call resumes what an earlier one began, in this process or
another. Only a whole file gets a name that can be taken for a survey file; `copies` says which name.
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
from bridge_assets.data.sources.http_partial import Part
from bridge_assets.data.sources.http_request import TryAgain, is_web_page, plain, requested
from bridge_assets.data.sources.local_copies import Download, Known, Say, alone, described, known, note, settle, shown
from bridge_assets.errors import SourceError, StorageError
from bridge_assets.storage import digest

if TYPE_CHECKING:
    import requests
    from urllib3.util import Retry

#: More than any survey file: the largest national text is about 300 MB.
LIMIT = 4 << 30

#: Small, since what is in the buffer when a connection is cut is lost and asked for again.
CHUNK = 64 << 10

#: Longer than this nobody waits because a server asks for it, in seconds.
LONGEST_WAIT = 300

_log = logging.getLogger(__name__)


def download(
    address: str,
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    say: Say = _log.info,
    every: float = 10.0,
    attempts: int = 6,
    backoff: float = 1.0,
    timeout: float = 60.0,
    limit: int = LIMIT,
    not_there: str = "check the address in a browser",
) -> Download:
    """Bring a file from a web server to this disk, or find that the copy here is still the server's file.

    Parameters
    ----------
    address : str
        http:// or https://.
    target : Path
        Where the copy lies. Another file that is there is never replaced: see `copies`.
    sha256 : str, optional
        The expected SHA-256, in hex. Other bytes are kept beside and reported as `revised`.
    size : int, optional
        The expected number of bytes. Another size is an error.
    say : callable
        Given a line every `every` seconds (bytes and rate), and at every new attempt.
    every : float
        Seconds.
    attempts : int
        Requests at most. Connection errors, cuts, 408, 425, 429 and 5xx are worth another one.
    backoff : float
        Seconds before the third attempt; doubled each time. `Retry-After` of the server goes before it.
    timeout : float
        Seconds without a byte that count as a cut.
    limit : int
        Bytes. A larger file is refused.
    not_there : str
        What to do where the server has no such file, for the message.

    Returns
    -------
    Download

    Raises
    ------
    SourceError
        If the server does not give the file, or gives a web page, a damaged archive or another length than it says.
    StorageError
        If it cannot be written. What has come so far is kept, and resumed by the next call.
    """
    from urllib3.exceptions import HTTPError
    from urllib3.util import Retry

    transfer = _Transfer(address, target, sha256, size, say, every, timeout, limit, not_there)
    retry = Retry(total=attempts - 1, backoff_factor=backoff, backoff_max=60)
    with alone(target, say):
        while True:
            try:
                return transfer.attempt()
            except TryAgain as failed:
                try:
                    retry = retry.increment("GET", shown(address), error=HTTPError(failed.why))
                except HTTPError:
                    _give_up(address, f"{attempts} attempts failed; the last one: {failed.why}")
                wait = _patience(retry, failed)
                if wait > LONGEST_WAIT:
                    _give_up(address, f"{failed.why} and asks us to wait for {wait:.0f} seconds")
                say(f"{target.name}: {failed.why}; trying again" + (f" in {wait:.1f} s" if wait else ""))
                time.sleep(wait)


def published(address: str, *, timeout: float = 20.0) -> bool:
    """Whether a server has a file, without taking it (HEAD). Raises SourceError where it cannot be asked."""
    try:
        with requested("HEAD", address, {}, timeout, "") as response:
            return not is_web_page(response.headers.get("Content-Type", ""), b"")
    except TryAgain as failed:
        _give_up(address, failed.why)
    except SourceError as error:
        if error.what == "there is no such file":
            return False
        raise


@dataclass
class _Transfer:
    address: str
    target: Path
    sha256: str | None
    size: int | None
    say: Say
    every: float
    timeout: float
    limit: int
    not_there: str
    transferred: int = 0

    def attempt(self) -> Download:
        """One request, and what follows from its answer."""
        part = Part.of(self.target)
        validator = part.validator(self.address)
        start = part.bytes if validator else 0
        here = known(self.target, self.address)
        if start:
            headers = {"Range": f"bytes={start}-", "If-Range": validator}
        elif here:
            asked = {"If-None-Match": here.etag, "If-Modified-Since": here.last_modified}
            headers = {name: value for name, value in asked.items() if value}
        else:
            headers = {}
        with requested("GET", self.address, headers, self.timeout, self.not_there) as response:
            if response.status_code == 304 and here:
                return described(self.target, here, self.sha256, self.transferred)
            if response.status_code in (304, 416):
                part.drop()
                raise TryAgain(f"the server answers {response.status_code} to what we have of it")
            http_checks.refuse_answer(response, self.address)
            etag, modified = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
            if response.status_code == 206:
                start, total = self._continues(response, part, start)
            else:
                start, total = 0, _length(response)
                part.begin(self.address, etag, modified, total)
            self._check_size(total, part)
            self._stream(response, part, start, total)
        return self._finish(part, etag, modified)

    def _continues(self, response: requests.Response, part: Part, start: int) -> tuple[int, int | None]:
        """The first byte of a partial answer and the whole length, after holding it against what was asked for."""
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != start or not start:
            part.drop()
            raise TryAgain("the server sends another range than was asked for")
        total = None if found[3] == "*" else int(found[3])
        said = part.total
        if said is not None and total is not None and total != said:
            part.drop()
            raise TryAgain(f"the server said {said:,} bytes, and then {total:,}")
        return start, total

    def _check_size(self, total: int | None, part: Part) -> None:
        if total is not None and total > self.limit:
            part.drop()
            http_checks.too_large(self.address, self.limit, f"The server says {total / 1e6:,.0f} MB")
        if total is not None and self.size is not None and total != self.size:
            part.drop()
            http_checks.wrong_size(self.address, self.size, total)

    def _stream(self, response: requests.Response, part: Part, start: int, total: int | None) -> None:
        from requests.exceptions import RequestException

        done, began, said = start, time.monotonic(), time.monotonic()
        try:
            with part.path.open("ab") as file:
                for chunk in response.iter_content(CHUNK):
                    if not done and is_web_page("", chunk):
                        http_checks.web_page(self.address)
                    if (done := done + len(chunk)) > self.limit:
                        part.drop()
                        http_checks.too_large(self.address, self.limit, f"More than {self.limit / 1e6:,.0f} MB came")
                    file.write(chunk)
                    self.transferred += len(chunk)
                    if time.monotonic() - said >= self.every:
                        said = time.monotonic()
                        of = f" of {total / 1e6:,.1f}" if total else ""
                        rate = (done - start) / 1e6 / (said - began)
                        self.say(f"{self.target.name}: {done / 1e6:,.1f}{of} MB, {rate:.1f} MB/s")
                file.flush()
                os.fsync(file.fileno())
        except RequestException as cut:
            raise TryAgain(f"the connection was cut after {part.bytes:,} bytes ({plain(cut, self.address)})") from cut
        except OSError as error:
            raise StorageError(
                f"{self.target} was not written: {error.strerror or error}. What has come so far is kept. What to do: "
                "free some space or correct the permissions, then run again"
            ) from error
        if total is not None and done != total:
            if done > total:
                part.drop()
            raise TryAgain(f"the server said {total:,} bytes, and {done:,} came")

    def _finish(self, part: Part, etag: str, last_modified: str) -> Download:
        length = part.bytes
        if not length or (self.size is not None and length != self.size):
            part.drop()
            http_checks.wrong_size(self.address, self.size, length)
        came = digest(part.path)
        if came != self.sha256:
            # Bytes that nobody vouches for: a length that is too small would look like a file that was revised.
            http_checks.refuse_damaged(part, self.target, self.address)
            http_checks.refuse_longer(part, self.address, self.timeout)
        place = settle(part.path, self.target, came, self.sha256)
        part.drop()
        noted = Known(shown(self.address), place.name, came, length, etag, last_modified)
        copy = described(self.target, noted, self.sha256, self.transferred)
        note(self.target, copy)
        return copy


def _patience(retry: Retry, failed: TryAgain) -> float:
    """Seconds until the next attempt: what the server asks for, else the backoff."""
    from urllib3.exceptions import InvalidHeader

    asked = failed.response.headers.get("Retry-After") if failed.response is not None else None
    with suppress(InvalidHeader):
        return retry.parse_retry_after(asked) if asked else retry.get_backoff_time()
    return retry.get_backoff_time()


def _length(response: requests.Response) -> int | None:
    said = response.headers.get("Content-Length", "")
    return int(said) if said.isdigit() else None


def _give_up(address: str, why: str) -> NoReturn:
    raise SourceError(
        "the file could not be downloaded",
        where=shown(address),
        why=why[0].upper() + why[1:],
        do="check the network and the address, then run again: what has come so far is kept and resumed",
    )
