"""Requests that a stranger might send: valid ones, changed at random, and bytes that are no request."""

from __future__ import annotations

import http.client
import json
import random
import socket
from contextlib import suppress
from typing import Any

from support.deployment.local_endpoint import FEATURES

_PATHS = (
    "/predict",
    "/invocations",
    "/score",
    "/v2/models/bridge-fall/infer",
    "/v1/endpoints/1/deployedModels/2:predict",
)
_OTHER_PATHS = (
    "/",
    "/health",
    "/ping",
    "/nothing",
    "/predict/",
    "/%00",
    "/%ff%fe",
    "//predict",
    "/v2/models/x/infer",
    "*",
)
_METHODS = ("POST",) * 12 + ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE")
_MEDIA_TYPES = (
    ("application/json",) * 8 + ("text/csv",) * 3 + ("", "text/csv; charset=x", "\xe9", ";;", "application/x-npy")
)
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1e308, -1e308, 5e-324, 10**400, "", "nan", "\ud800", "\x00", "é" * 50, "x" * 5000),
    *([], {}, [[]], [{}], {"": ""}, {"age": []}, [None] * 300, {"columns": 1}, "age", "rows", "FP32"),
)
_BYTES = (
    b"\x00",
    b'"',
    b"\\",
    b"{",
    b"[",
    b"]",
    b"}",
    b",",
    b":",
    b"NaN",
    b"1e999",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\n",
    b"9" * 500,
)


class RequestFuzzer:
    """Sends random requests to a server, the same ones for the same seed.

    Raises
    ------
    AssertionError
        From `send`, if a response is an internal error, or none although a request was complete.
    """

    def __init__(self, port: int, seed: int) -> None:
        self._port, self._random = port, random.Random(seed)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(self) -> int:
        """Send one request; its status, or 0 for bytes that got no response."""
        if self._random.random() < 0.05:
            return self._send_bytes()
        draw = self._random
        path = draw.choice(_PATHS if draw.random() < 0.9 else _OTHER_PATHS)
        media_type, method = draw.choice(_MEDIA_TYPES), draw.choice(_METHODS)
        body = self._csv() if media_type == "text/csv" else self._json(path)
        if draw.random() < 0.4:
            body = self._changed(body)
        headers = {"Content-Type": media_type, "X-Odd": draw.choice(("", "\xe9", "a" * 3000))}
        try:
            self._connection.request(method, path, body, headers)
            reply = self._connection.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise AssertionError(f"no response to {method} {path} {media_type} {body!r:.2000}: {error!r}") from error
        assert reply.status < 500, (reply.status, method, path, media_type, body[:2000], content)
        if reply.status >= 400 and method != "HEAD":
            assert list(json.loads(content)) == ["error", "request_id"], content
        return reply.status

    def _send_bytes(self) -> int:
        """Bytes that are hardly a request, on a connection of their own."""
        draw = self._random
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"
        content = draw.randbytes(draw.randrange(2000)) if draw.random() < 0.3 else self._changed(head)
        answer = b""
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection, suppress(OSError):
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while received := connection.recv(65536):
                answer += received
        status = int(answer[9:12] or b"0")
        assert status < 500, (content, answer)
        return status

    def _json(self, path: str) -> bytes:
        draw, count = self._random, self._random.randrange(5)
        rows = [{name: draw.gauss(0, 3) for name in FEATURES} for _ in range(count)]
        table = [list(row.values()) for row in rows]
        tensor = {"name": "rows", "shape": [count, len(FEATURES)], "datatype": "FP32", "data": table}
        body: Any = {"instances": rows}
        if "infer" in path:
            body = {"inputs": [tensor], "id": "a"}
        elif "score" in path and draw.random() < 0.5:
            body = {"input_data": {"columns": list(FEATURES), "index": list(range(count)), "data": table}}
        for _ in range(draw.choice((0, 0, 1, 1, 2, 4))):
            body = self._with_odd_value(body)
        return json.dumps(body).encode()

    def _with_odd_value(self, value: Any) -> Any:
        """The value with something else somewhere inside it."""
        draw = self._random
        if not value or not isinstance(value, (dict, list)) or draw.random() < 0.15:
            return draw.choice(_ODD)
        if isinstance(value, list):
            place = draw.randrange(len(value))
            return [*value[:place], self._with_odd_value(value[place]), *value[place + draw.choice((0, 1, 1, 1)) :]]
        key = draw.choice(list(value))
        changed = draw.choice((key, key, key, key, "other", "\ud800", key * 40))
        return {
            **{name: each for name, each in value.items() if name != key},
            changed: self._with_odd_value(value[key]),
        }

    def _csv(self) -> bytes:
        draw = self._random
        cells = ("1", "", "nan", "-3.5", "x", '"1"', "1e999", " 2 ", '"', "é", "1_0")
        head = ",".join(draw.sample(FEATURES, draw.randrange(1, len(FEATURES) + 1)))
        lines = [",".join(draw.choice(cells[:4] if draw.random() < 0.8 else cells) for _ in head.split(","))] * 3
        return draw.choice(("\n", "\r\n", "\r")).join([head, *lines[: draw.randrange(4)]]).encode()

    def _changed(self, body: bytes) -> bytes:
        """Bytes cut, repeated, inserted or replaced."""
        draw, changed = self._random, bytearray(body)
        for _ in range(draw.randrange(1, 5)):
            start = draw.randrange(len(changed) + 1)
            end = min(len(changed), start + draw.choice((0, 1, 1, 5, 100)))
            piece = draw.choice((b"", bytes(changed[start:end]) * draw.choice((1, 2, 50)), draw.choice(_BYTES)))
            changed[start:end] = piece
        return bytes(changed)
