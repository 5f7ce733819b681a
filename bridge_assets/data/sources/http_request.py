"""Sends one request to a web server: follows allowed redirects, and explains refused responses.

Nothing is retried here: failures that may be temporary are raised as `RetryableError`.
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

#: The file is requested uncompressed: otherwise a download can be neither resumed nor compared with its length.
HEADERS = {"User-Agent": "bridge-assets", "Accept-Encoding": "identity"}

#: 408 Request Timeout, 425 Too Early, 429 Too Many Requests, and server errors (RFC 9110, 6585, 8470).
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class RetryableError(Exception):
    """A request failed in a way that may be temporary."""

    def __init__(self, why: str, response: requests.Response | None = None) -> None:
        self.why, self.response = why, response
        super().__init__(why)


@contextmanager
def open_response(
    method: str, address: str, headers: Mapping[str, str], timeout: float, not_found_hint: str
) -> Iterator[requests.Response]:
    """Send a request, follow redirects, and yield the response: 200, 206, 304 or 416.

    Raises
    ------
    SourceError
        If the server refuses, does not have the file, or redirects to an address that must not be followed.
    RetryableError
        If the server cannot be reached, or is temporarily unable to respond.
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
        do="open the address in a browser, and correct it in the settings",
    )


def redacted_message(error: BaseException, address: str) -> str:
    """The error message of a failed request, on one line and without the query of the address."""
    message = " ".join(str(error).split()) or type(error).__name__
    if query := urlsplit(address).query:
        message = message.replace(query, "…")
    return message


def is_web_page(content_type: str, beginning: bytes) -> bool:
    """Whether a response is an HTML page, which a survey file never is."""
    start = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower()
    return "text/html" in content_type.lower() or start.startswith((b"<!doctype html", b"<html"))


def _check_scheme(url: str, previous_url: str, address: str) -> None:
    scheme, previous_scheme = urlsplit(url).scheme.lower(), urlsplit(previous_url).scheme.lower()
    if scheme not in ("http", "https") or (previous_scheme == "https" and scheme == "http"):
        raise SourceError(
            f"the server redirects to another scheme, {scheme or 'none'}:",
            where=redact_url(address),
            why=f"It redirects to {redact_url(url)}; only https is followed (and http, from http)",
            do="open the address in a browser, and correct it in the settings",
        )


def _raise_for_status(response: requests.Response, address: str, not_found_hint: str) -> None:
    status = response.status_code
    if status in (200, 206, 304, 416):
        return
    if status in RETRYABLE_STATUSES:
        raise RetryableError(f"the server returned {status} {response.reason}", response)
    if status in (404, 410):
        raise SourceError(
            "the file does not exist at this address",
            where=redact_url(address),
            why=f"The server returned {status}",
            do=not_found_hint,
        )
    if status in (401, 403, 407):
        raise SourceError(
            "access denied",
            where=redact_url(address),
            why=f"The server returned {status} {response.reason}",
            do="check the address and the credentials (~/.netrc, or those of the proxy), or download it in a browser",
        )
    raise SourceError(
        "the server does not provide the file",
        where=redact_url(address),
        why=f"It returned {status} {response.reason}",
        do="open the address in a browser, and correct it in the settings",
    )
