"""The bound on connections, their deadlines, and errors of accepting them.

uvicorn has a limit of concurrent requests, which refuses health checks as well, and no deadline for a request's
header, body or response. So its protocols are extended here: the connection of a client that sends nothing, sends a
byte a minute or does not read is closed after a deadline, and before it if the bound is reached.

There are two of them: `httptools_protocol`, which parses a request in C, and `h11_protocol` for an image that was built
before httptools was needed.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from bridge_assets.serve.border.access_log import log_event

#: Largest number of connections. A chosen limit: at most 128 KiB of each are in memory before the app reads, so 32 MiB.
MAX_CONNECTIONS = 256

#: Bytes that are read from a connection at once. asyncio's own 256 KiB would take 64 MiB for all connections.
_READ_BYTES = 1 << 16

#: Descriptors of the process itself: libraries, the model, log, threads. Measured: 30.
_OWN_DESCRIPTORS = 64

#: Seconds that a connection may stay in a phase (`Bounded.phase`). Chosen limits: a header takes a round trip,
#: and 16 MiB in 30 s take 4.5 Mbit/s. The app itself answers 408 after `BODY_SECONDS`.
BODY_SECONDS = 30.0
PHASE_SECONDS = {"header": 10.0, "discarding": 10.0, "body": BODY_SECONDS + 5.0, "sending": 30.0}

#: At the bound the oldest connection of the first of these phases is closed: those that cost a client the least come
#: first. Seconds for which it is spared. An idle connection is the last: its client has behaved well.
_CLOSED_FIRST = {"discarding": 0.0, "header": 0.0, "sending": 5.0, "body": 5.0, "idle": 0.0}

#: Seconds between two lines in the log about the same condition. A chosen limit.
_LOG_SECONDS = 10.0

_NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def connection_bound() -> int:
    """Number of connections that this process can have open: a third of its descriptors, at most `MAX_CONNECTIONS`.

    Another third may be taken by connections that have been accepted but not yet counted, and by those above the bound
    that wait for their health check's answer.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(8, (descriptors - _OWN_DESCRIPTORS) // 3))


class ThrottledLog:
    """Logs an event at most once in `_LOG_SECONDS`, with the number of times that it happened since the last line."""

    def __init__(self) -> None:
        self._next, self._count = 0.0, 0

    def __call__(self, event: str, **fields: Any) -> None:
        self._count += 1
        if time.monotonic() >= self._next:
            log_event(event, times=self._count, **fields)
            self._next, self._count = time.monotonic() + _LOG_SECONDS, 0


class Bounded:
    """A connection that is closed after its deadline, or to make place for others: the base of both protocols."""

    bound = connection_bound()
    _log = ThrottledLog()

    # Of uvicorn's protocols.
    connections: set[Any]
    transport: asyncio.Transport
    app_state: dict[str, Any]
    cycle: Any

    def bound_connection(self, transport: asyncio.Transport) -> None:
        """Make place for this new connection, which has been counted, or refuse it."""
        with suppress(AttributeError):  # of asyncio's own transports; uvloop's share one buffer
            transport.max_size = _READ_BYTES  # pyright: ignore[reportAttributeAccessIssue]
        self._phase: tuple[str, int] = ("header", 0)
        self._since = time.monotonic()
        above = len(self.connections) - self.bound
        if above <= 0:
            return
        others: Iterable[Bounded] = self.connections - {self}
        ranked = [(rank, each) for each in others if (rank := each._rank())]
        if ranked:
            closable = min(ranked, key=lambda pair: pair[0])[1]
            self._log("connection closed", why=f"{self.bound} are open", phase=closable.phase())
            closable.abort()
        elif above > self.bound // 4:
            self._log("connection refused", why=f"{len(self.connections) - 1} have requests in progress")
            self.abort()
        else:
            self.app_state = {**self.app_state, "above_bound": True}

    def phase(self) -> str:
        """What the connection waits for.

        header : the client has not sent a complete header, or, on a new connection, nothing.
        body : the client has not sent the complete body, which the app is reading.
        answering : the app computes the response.
        sending : the client has not read the response.
        discarding : the client has its response, but has not sent the complete body.
        idle : nothing; the next request may follow.
        """
        if self.transport.get_write_buffer_size():
            return "sending"
        if self.cycle is not None and not self.cycle.response_complete:
            return "body" if self.cycle.more_body else "answering"
        return self.unanswered_phase()

    def unanswered_phase(self) -> str:
        """`phase` while no request waits for an answer: `discarding`, `header` or `idle`."""
        raise NotImplementedError

    def close_if_late(self, now: float) -> None:
        """Close the connection if it has been in its phase for too long. Called about once per second."""
        phase = (self.phase(), id(self.cycle))
        if phase != self._phase:
            self._phase, self._since = phase, now
        elif now - self._since > PHASE_SECONDS.get(phase[0], float("inf")):
            self.abort()

    def abort(self) -> None:
        """Close the connection without sending what is left, and count it no longer."""
        self.transport.abort()
        self.connections.discard(self)

    def _rank(self) -> tuple[int, float] | None:
        """The order in which connections are closed at the bound; None for one that has to stay."""
        phase = self.phase()
        order = list(_CLOSED_FIRST)
        since = self._since if phase == self._phase[0] else time.monotonic()
        if phase not in _CLOSED_FIRST or time.monotonic() - since < _CLOSED_FIRST[phase]:
            return None
        return order.index(phase), since


def throttle_accept_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log at most once in `_LOG_SECONDS` that no connection can be accepted, not a traceback for each attempt."""
    log = ThrottledLog()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _NO_RESOURCES:
            log("not accepting", why=f"{type(error).__name__}: {error}", do="raise the limit of open files (ulimit -n)")
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
