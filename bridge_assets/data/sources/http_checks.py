"""Refuses responses of a web server that are not survey files, or are incomplete, before they are stored."""

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
    """Refuse a response whose headers show that it is not usable."""
    if is_web_page(response.headers.get("Content-Type", ""), b""):
        raise_web_page(address)
    if response.headers.get("Content-Encoding", "identity") not in ("identity", ""):
        raise SourceError(
            "the server compresses the file, although it was requested uncompressed",
            where=redact_url(address),
            why="A download that is compressed in transit can be neither resumed nor verified",
            do="download the file in a browser and use a local folder as source",
        )


def check_zip_complete(partial: PartialDownload, target: Path, address: str) -> None:
    """Refuse a zip file without its central directory, which is at the end: it is incomplete."""
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
            why=f"{error}; the server reported a wrong length, or its file is damaged",
            do="run again later, or download it in a browser and use a local folder as source",
        ) from None


def check_no_extra_bytes(partial: PartialDownload, address: str, timeout: float) -> None:
    """Request the bytes after the last one: if there are any, the server reported too small a length."""
    length = partial.bytes
    with (
        suppress(RetryableError, SourceError),  # this check is optional; most servers answer with 416
        open_response("GET", address, {"Range": f"bytes={length}-"}, timeout, "") as response,
    ):
        if response.status_code != 206:
            return
        partial.discard()
    if not partial.bytes:
        raise SourceError(
            "the server reports a wrong length",
            where=redact_url(address),
            why=f"It reported {length:,} bytes but has more",
            do="run again later, or download it in a browser and use a local folder as source",
        )


def raise_web_page(address: str) -> NoReturn:
    raise SourceError(
        "this is a web page, not a survey file",
        where=redact_url(address),
        why="A server often sends a page if a file was moved or deleted",
        do="open the address in a browser, and correct it in the settings",
    )


def raise_too_large(address: str, limit: int, why: str) -> NoReturn:
    raise SourceError(
        f"the file is larger than {limit / 1e6:,.0f} MB",
        where=redact_url(address),
        why=why,
        do="check the address: survey files are not that large",
    )


def raise_wrong_size(address: str, expected: int | None, size: int) -> NoReturn:
    raise SourceError(
        "the file has an unexpected size" if size else "the file is empty",
        where=redact_url(address),
        why=f"It has {size:,} bytes" + (f", but {expected:,} were expected" if expected else ""),
        do="check the address, and the expected size if one is set",
    )
