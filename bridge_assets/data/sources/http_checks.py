"""What comes from a web server and is no survey file, or not all of one: refused before it gets a name."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bridge_assets.data.sources.http_partial import PartialDownload
from bridge_assets.data.sources.http_request import RetryableError, is_web_page, open_response
from bridge_assets.data.sources.local_copies import redact_url
from bridge_assets.errors import SourceError

if TYPE_CHECKING:
    import requests


def check_response_headers(response: requests.Response, address: str) -> None:
    """Refuse an answer whose header says that it is unfit."""
    if is_web_page(response.headers.get("Content-Type", ""), b""):
        raise_web_page(address)
    if response.headers.get("Content-Encoding", "identity") not in ("identity", ""):
        raise SourceError(
            "the server compresses what it was asked to send as it is",
            where=redact_url(address),
            why="Bytes that are changed on the way can be neither resumed nor compared",
            do="download the file in a browser and use a local folder as source",
        )


def check_zip_complete(partial: PartialDownload, target: Path, address: str) -> None:
    """Refuse a zip without its directory, which stands at the end: it is not whole."""
    if target.suffix.lower() != ".zip":
        return
    try:
        with zipfile.ZipFile(partial.path) as archive:
            archive.infolist()
    except zipfile.BadZipFile as error:
        partial.discard()
        raise SourceError(
            "the archive is damaged",
            where=redact_url(address),
            why=f"{error}; the server gave another length than the file has, or the file is broken there",
            do="run again later, or download it in a browser and use a local folder as source",
        ) from None


def check_no_extra_bytes(partial: PartialDownload, address: str, timeout: float) -> None:
    """Ask for what follows the last byte: a server that has something there said too small a length."""
    length = partial.bytes
    with (
        suppress(RetryableError, SourceError),  # the question is an extra; most servers answer it with 416
        open_response("GET", address, {"Range": f"bytes={length}-"}, timeout, "") as response,
    ):
        if response.status_code != 206:
            return
        partial.discard()
    if not partial.bytes:
        raise SourceError(
            "the server gives a wrong length",
            where=redact_url(address),
            why=f"It said {length:,} bytes, and has more",
            do="run again later, or download it in a browser and use a local folder as source",
        )


def raise_web_page(address: str) -> NoReturn:
    raise SourceError(
        "this is a web page, not a survey file",
        where=redact_url(address),
        why="A server that has moved or lost a file often answers with a page",
        do="look at the address in a browser, and correct it in the settings",
    )


def raise_too_large(address: str, limit: int, why: str) -> NoReturn:
    raise SourceError(
        f"the file is larger than {limit / 1e6:,.0f} MB",
        where=redact_url(address),
        why=why,
        do="check the address: no survey file is that large",
    )


def raise_wrong_size(address: str, expected: int | None, size: int) -> NoReturn:
    raise SourceError(
        "the file has another size than expected" if size else "the file is empty",
        where=redact_url(address),
        why=f"It has {size:,} bytes" + (f", and {expected:,} were expected" if expected else ""),
        do="check the address, and the expected size if there is one",
    )
