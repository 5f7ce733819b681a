"""The protocol of a connection with h11, a parser in Python: where httptools is not installed."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge_assets.serve.border.connections import Bounded


class BoundedH11(Bounded, H11Protocol):
    """uvicorn's h11 protocol within a bound of connections."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.bound_connection(transport)

    def unanswered_phase(self) -> str:
        if self.conn.their_state is h11.SEND_BODY:
            return "discarding"
        return "header" if self.cycle is None or self.conn.trailing_data[0] else "idle"
