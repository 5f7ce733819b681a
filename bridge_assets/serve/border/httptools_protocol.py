"""The protocol of a connection with httptools, a parser in C, within limits that it does not have itself.

httptools takes a header of any length, and parses as many requests as arrive at once. Here a header has a limit, and
what follows a request that waits for its turn is kept unparsed: a parsed request takes fifty times its bytes.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bridge_assets.serve.border.answers import new_request_id
from bridge_assets.serve.border.connections import Bounded
from bridge_assets.serve.border.json_bytes import to_json

#: Bytes of a header, or between two parts of a body. A chosen limit: h11 has the same one.
MAX_HEADER_BYTES = 1 << 16

#: Bytes that are parsed at once: some hundred of the smallest requests. A chosen limit.
_AT_ONCE = 1 << 12


class _HeldFlow(FlowControl):
    """Flow control that does not read on while requests that have been read wait for their turn."""

    held = False

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class _OneWrite:
    """A transport that sends the header of an answer together with its body.

    uvicorn writes them one after the other, which is two calls of the system and two packets.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._call_soon, self._header = transport, loop.call_soon, b""
        self.is_closing, self.get_extra_info = transport.is_closing, transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.set_protocol = transport.set_protocol

    def write(self, data: bytes) -> None:
        if self._header:
            data, self._header = self._header + data, b""
            self._transport.write(data)
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._header = data
            self._call_soon(self._flush)  # where no body follows at once
        else:
            self._transport.write(data)

    def _flush(self) -> None:
        if self._header:
            data, self._header = self._header, b""
            self._transport.write(data)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + len(self._header)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class BoundedHttpTools(Bounded, HttpToolsProtocol):
    """uvicorn's httptools protocol within a bound of connections."""

    flow: Any  # _HeldFlow

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport: Any = _OneWrite(transport, self.loop)
        self.flow = _HeldFlow(transport)
        self._stage, self._unparsed, self._since_progress = "idle", b"", 0
        self.bound_connection(transport)

    def data_received(self, data: bytes) -> None:
        if self._unparsed or self.pipeline:
            self._hold(self._unparsed + data)
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Parse data, until a request has to wait for the one before it."""
        for start in range(0, len(data), _AT_ONCE):
            if self.pipeline:
                self._hold(data[start:])
                return
            part = data[start : start + _AT_ONCE] if len(data) > _AT_ONCE else data
            self._since_progress += len(part)
            super().data_received(part)
            if self.transport.is_closing():
                return
            if self._since_progress > MAX_HEADER_BYTES:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response(f"the header is too large; send at most {MAX_HEADER_BYTES >> 10} KiB")
                return

    def _hold(self, data: bytes) -> None:
        self._unparsed, self.flow.held = data, True
        self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request like every other error, and close the connection."""
        request_id = new_request_id()
        body = to_json({"error": msg, "request_id": request_id.decode()})
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(
            b"%sx-request-id: %s\r\ncontent-length: %d\r\n\r\n%s" % (head, request_id, len(body), body)
        )
        self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.flow.held and not self.pipeline and not self.transport.is_closing():
            data, self._unparsed, self.flow.held = self._unparsed, b"", False
            self.flow.resume_reading()
            self._parse(data)

    def on_message_begin(self) -> None:
        self._stage = "header"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stage, self._since_progress = "body", 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._since_progress = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stage, self._since_progress = "idle", 0
        super().on_message_complete()

    def unanswered_phase(self) -> str:
        if self._stage == "body":
            return "discarding"
        return "header" if self.cycle is None or self._stage == "header" else "idle"
