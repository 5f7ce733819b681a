"""One request to a web server: redirects that may be followed, answers that are refused, and why.

Nothing here retries: what may go better another time is raised as `RetryableError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from bridge_assets.data.sources.local_copies import redact_url
from bridge_assets.errors import SourceError

if TYPE_CHECKING:
    import requests

MAX_REDIRECTS = 5

#: Bytes are taken as they lie on the server: only those can be resumed and compared with a length.
HEADERS = {"User-Agent": "bridge-assets", "Accept-Encoding": "identity"}

#: 408 Request Timeout, 425 Too Early, 429 Too Many Requests, and what a server says of itself (RFC 9110, 6585, 8470).
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class RetryableError(Exception):
    """A request failed in a way that may pass."""

    def __init__(self, why: str, response: requests.Response | None = None) -> None:
        self.why, self.response = why, response
        super().__init__(why)


@contextmanager
def open_response(
    method: str, address: str, headers: Mapping[str, str], timeout: float, not_found_hint: str
) -> Iterator[requests.Response]:
    """Ask a server, following redirects, and give its answer: 200, 206, 304 or 416.

    Raises
    ------
    SourceError
        Where the server refuses, has no such file, or redirects to where nobody should follow.
    RetryableError
        Where it cannot be reached, or asks for patience.
    """
    import requests

    with requests.Session() as session:
        url, previous_url = address, address
        for _ in range(MAX_REDIRECTS + 1):
            _check_scheme(url, previous_url, address)
            try:
                response = session.request(
                    method, url, headers={**HEADERS, **headers}, timeout=timeout, stream=True, allow_redirects=False
                )
            except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
                raise SourceError(
                    "this is not a valid address",
                    where=redact_url(address),
                    why=type(error).__name__,
                    do="correct the address in the settings",
                ) from None
            except requests.exceptions.SSLError as error:
                raise SourceError(
                    "the server's certificate is not trusted",
                    where=redact_url(address),
                    why=redacted_message(error, url),
                    do="check the address, and the proxy or the certificates of this machine (REQUESTS_CA_BUNDLE)",
                ) from None
            except requests.exceptions.RequestException as error:
                raise RetryableError(redacted_message(error, url)) from error
            with response:
                if response.is_redirect:
                    url, previous_url = urljoin(url, response.headers["Location"]), url
                    continue
                _raise_for_status(response, address, not_found_hint)
                yield response
                return
    raise SourceError(
        f"more than {MAX_REDIRECTS} redirects",
        where=redact_url(address),
        why=f"The last one led to {redact_url(url)}",
        do="look at the address in a browser, and correct it in the settings",
    )


def redacted_message(error: BaseException, address: str) -> str:
    """What a library said of a failed request, in one line and without the address's query."""
    message = " ".join(str(error).split()) or type(error).__name__
    if query := urlsplit(address).query:
        message = message.replace(query, "…")
    return message


def is_web_page(content_type: str, beginning: bytes) -> bool:
    """Whether an answer is a page for people: no survey file is one."""
    start = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower()
    return "text/html" in content_type.lower() or start.startswith((b"<!doctype html", b"<html"))


def _check_scheme(url: str, previous_url: str, address: str) -> None:
    scheme, previous_scheme = urlsplit(url).scheme.lower(), urlsplit(previous_url).scheme.lower()
    if scheme not in ("http", "https") or (previous_scheme == "https" and scheme == "http"):
        raise SourceError(
            f"the server redirects to another scheme, {scheme or 'none'}:",
            where=redact_url(address),
            why=f"It sends us to {redact_url(url)}, and only https is followed (and http, from http)",
            do="look at the address in a browser, and correct it in the settings",
        )


def _raise_for_status(response: requests.Response, address: str, not_found_hint: str) -> None:
    status = response.status_code
    if status in (200, 206, 304, 416):
        return
    if status in RETRYABLE_STATUSES:
        raise RetryableError(f"the server answers {status} {response.reason}", response)
    if status in (404, 410):
        raise SourceError(
            "the file does not exist at this address",
            where=redact_url(address),
            why=f"The server returned {status}",
            do=not_found_hint,
        )
    if status in (401, 403, 407):
        raise SourceError(
            "the server does not let us in",
            where=redact_url(address),
            why=f"It answers {status} {response.reason}",
            do="check the address and the credentials (~/.netrc, or the proxy's), or download it in a browser",
        )
    raise SourceError(
        "the server does not give the file",
        where=redact_url(address),
        why=f"It answers {status} {response.reason}",
        do="look at the address in a browser, and correct it in the settings",
    )
