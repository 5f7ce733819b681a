"""One request to a web server: redirects that may be followed, answers that are refused, and why.

Nothing here retries: what may go better another time is raised as `TryAgain`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from bridge_assets.data.sources.local_copies import shown
from bridge_assets.errors import SourceError

if TYPE_CHECKING:
    import requests

REDIRECTS = 5

#: Bytes are taken as they lie on the server: only those can be resumed and compared with a length.
HEADERS = {"User-Agent": "bridge-assets", "Accept-Encoding": "identity"}

#: 408 Request Timeout, 425 Too Early, 429 Too Many Requests, and what a server says of itself (RFC 9110, 6585, 8470).
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class TryAgain(Exception):
    """A request failed in a way that may pass."""

    def __init__(self, why: str, response: requests.Response | None = None) -> None:
        self.why, self.response = why, response
        super().__init__(why)


@contextmanager
def requested(
    method: str, address: str, headers: Mapping[str, str], timeout: float, not_there: str
) -> Iterator[requests.Response]:
    """Ask a server, following redirects, and give its answer: 200, 206, 304 or 416.

    Raises
    ------
    SourceError
        Where the server refuses, has no such file, or redirects to where nobody should follow.
    TryAgain
        Where it cannot be reached, or asks for patience.
    """
    import requests

    with requests.Session() as session:
        at, came_from = address, address
        for _ in range(REDIRECTS + 1):
            _check_scheme(at, came_from, address)
            try:
                response = session.request(
                    method, at, headers={**HEADERS, **headers}, timeout=timeout, stream=True, allow_redirects=False
                )
            except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
                raise SourceError(
                    "this is no address",
                    where=shown(address),
                    why=type(error).__name__,
                    do="correct the address in the settings",
                ) from None
            except requests.exceptions.SSLError as error:
                raise SourceError(
                    "the server's certificate is not trusted",
                    where=shown(address),
                    why=plain(error, at),
                    do="check the address, and the proxy or the certificates of this machine (REQUESTS_CA_BUNDLE)",
                ) from None
            except requests.exceptions.RequestException as error:
                raise TryAgain(plain(error, at)) from error
            with response:
                if response.is_redirect:
                    at, came_from = urljoin(at, response.headers["Location"]), at
                    continue
                _refuse(response, address, not_there)
                yield response
                return
    raise SourceError(
        f"more than {REDIRECTS} redirects",
        where=shown(address),
        why=f"The last one led to {shown(at)}",
        do="look at the address in a browser, and correct it in the settings",
    )


def plain(error: BaseException, address: str) -> str:
    """What a library said of a failed request, in one line and without the address's query."""
    said = " ".join(str(error).split()) or type(error).__name__
    if query := urlsplit(address).query:
        said = said.replace(query, "…")
    return said


def is_web_page(content_type: str, beginning: bytes) -> bool:
    """Whether an answer is a page for people: no survey file is one."""
    start = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower()
    return "text/html" in content_type.lower() or start.startswith((b"<!doctype html", b"<html"))


def _check_scheme(at: str, came_from: str, address: str) -> None:
    scheme, before = urlsplit(at).scheme.lower(), urlsplit(came_from).scheme.lower()
    if scheme not in ("http", "https") or (before == "https" and scheme == "http"):
        raise SourceError(
            f"the server redirects to another scheme, {scheme or 'none'}:",
            where=shown(address),
            why=f"It sends us to {shown(at)}, and only https is followed (and http, from http)",
            do="look at the address in a browser, and correct it in the settings",
        )


def _refuse(response: requests.Response, address: str, not_there: str) -> None:
    status = response.status_code
    if status in (200, 206, 304, 416):
        return
    if status in PASSING:
        raise TryAgain(f"the server answers {status} {response.reason}", response)
    if status in (404, 410):
        raise SourceError(
            "there is no such file", where=shown(address), why=f"The server answers {status}", do=not_there
        )
    if status in (401, 403, 407):
        raise SourceError(
            "the server does not let us in",
            where=shown(address),
            why=f"It answers {status} {response.reason}",
            do="check the address and the credentials (~/.netrc, or the proxy's), or download it in a browser",
        )
    raise SourceError(
        "the server does not give the file",
        where=shown(address),
        why=f"It answers {status} {response.reason}",
        do="look at the address in a browser, and correct it in the settings",
    )
