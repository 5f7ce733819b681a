"""Faults of the Google servers in the tests, on demand, and a record of the calls."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import grpc

#: gRPC's message for a dropped connection; over HTTP there is none.
CONNECTION_LOST = "Socket closed"

#: gRPC status -> HTTP status, as Google maps them.
HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
}


@dataclass
class Fault(Exception):
    """An error response.

    Attributes
    ----------
    code : grpc.StatusCode
    message : str
    times : int
        How many requests receive it.
    retry_after : float, optional
        Seconds that the caller should wait.
    applied : bool
        Whether the request is processed anyway and only its response is lost.
    """

    code: grpc.StatusCode
    message: str
    times: int = 1
    retry_after: float | None = None
    applied: bool = False


@dataclass
class Faults:
    """Faults by method, `DeployModel` or `storage.upload`, and the methods that were called.

    Attributes
    ----------
    drop_from_change : int, optional
        From this change on, counted from 0, every call is dropped.
    drop_after_applying : bool
        Whether that change itself is still processed and only its response is lost.
    """

    pending: dict[str, list[Fault]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    drop_from_change: int | None = None
    drop_after_applying: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def inject(self, methods: str | Iterable[str], fault: Fault) -> None:
        for method in [methods] if isinstance(methods, str) else methods:
            one = Fault(fault.code, fault.message, fault.times, fault.retry_after, fault.applied)
            self.pending.setdefault(method, []).append(one)

    def next_fault(self, method: str, changes: bool) -> Fault | None:
        """Record a call, and return the fault that applies to it."""
        with self._lock:
            self.calls.append(method)
            dropped = Fault(grpc.StatusCode.UNAVAILABLE, CONNECTION_LOST)
            if self.drop_from_change is not None and len(self.changes) > self.drop_from_change:
                return dropped
            if changes:
                self.changes.append(method)
                if self.drop_from_change is not None and len(self.changes) > self.drop_from_change:
                    dropped.applied = self.drop_after_applying
                    return dropped
            for fault in self.pending.get(method, []):
                if fault.times > 0:
                    fault.times -= 1
                    return fault
            return None

    def reset(self) -> None:
        """Start again without faults and without recorded calls."""
        self.pending.clear()
        self.calls.clear()
        self.changes.clear()
        self.drop_from_change, self.drop_after_applying = None, False
