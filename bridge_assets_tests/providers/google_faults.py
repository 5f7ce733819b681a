"""What goes wrong at Google's servers of the tests, on demand, and what was asked of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import grpc

#: What gRPC says where the line is cut; over HTTP nothing is said then.
CUT = "Socket closed"

#: gRPC status -> HTTP status, as Google maps them.
HTTP = {
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
    """An answer that is an error.

    Attributes
    ----------
    code : grpc.StatusCode
    message : str
    times : int
        How often it is given.
    after : float, optional
        Seconds that the caller is asked to wait.
    done : bool
        The request is served all the same; only its answer is lost.
    """

    code: grpc.StatusCode
    message: str
    times: int = 1
    after: float | None = None
    done: bool = False


@dataclass
class Faults:
    """Faults by method, `DeployModel` or `storage.upload`, and the methods that were called.

    Attributes
    ----------
    dies_at : int, optional
        From the change of this number on, counted from 0, every call is cut.
    dies_after_it : bool
        That change itself is still made, and its answer lost.
    """

    waiting: dict[str, list[Fault]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    dies_at: int | None = None
    dies_after_it: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, methods: str | Iterable[str], fault: Fault) -> None:
        for method in [methods] if isinstance(methods, str) else methods:
            one = Fault(fault.code, fault.message, fault.times, fault.after, fault.done)
            self.waiting.setdefault(method, []).append(one)

    def of(self, method: str, changes: bool) -> Fault | None:
        """Count a call; the fault that it meets."""
        with self._lock:
            self.asked.append(method)
            cut = Fault(grpc.StatusCode.UNAVAILABLE, CUT)
            if self.dies_at is not None and len(self.changes) > self.dies_at:
                return cut
            if changes:
                self.changes.append(method)
                if self.dies_at is not None and len(self.changes) > self.dies_at:
                    cut.done = self.dies_after_it
                    return cut
            for fault in self.waiting.get(method, []):
                if fault.times > 0:
                    fault.times -= 1
                    return fault
            return None

    def forget(self) -> None:
        """Begin again: no faults, nothing asked."""
        self.waiting.clear()
        self.asked.clear()
        self.changes.clear()
        self.dies_at, self.dies_after_it = None, False
