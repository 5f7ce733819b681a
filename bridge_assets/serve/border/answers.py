"""Answers in JSON as ASGI messages: the answer of a prediction, and the one of every error."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from bridge_assets.serve.border.json_bytes import to_json

if TYPE_CHECKING:
    from starlette.types import Scope, Send

_JSON = (b"content-type", b"application/json")


_numbers = itertools.count(1)


def new_request_id() -> bytes:
    """The id of a request: of this process, and of the request in it."""
    return b"%s-%x" % (_process(os.getpid()), next(_numbers))


@cache
def _process(pid: int) -> bytes:
    """A random name of this process. A forked process has another one."""
    return secrets.token_hex(4).encode()


async def send_json(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Send a body of JSON."""
    sent = [_JSON, (b"content-length", b"%d" % len(body))]
    if headers:
        sent += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


async def send_error(
    scope: Scope, send: Send, status: int, message: str, headers: Mapping[str, str] | None = None
) -> None:
    """Send what is wrong with a request, and its id, by which the server's log names it."""
    body = {"error": message, "request_id": scope["state"]["request_id"]}
    await send_json(send, status, to_json(body), headers)
