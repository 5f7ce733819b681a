"""A front for an AWS service in a test: it records every request, and drops, delays or refuses some on demand."""

from __future__ import annotations

import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

#: Environment variables with credentials that are valid only here.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

#: Fault -> status, code, headers. `cut`: the request is processed, but its response is lost.
FAULT_RESPONSES: dict[str, tuple[int, str, dict[str, str]]] = {
    "throttled": (400, "ThrottlingException", {}),
    "retry after 1 s": (429, "", {"Retry-After": "1"}),
    "retry at once": (429, "", {"Retry-After": "0"}),
    "broken": (500, "InternalFailure", {}),
    "unavailable": (503, "ServiceUnavailable", {}),
    "expired": (400, "ExpiredTokenException", {}),
    "denied": (403, "AccessDeniedException", {}),
    "no quota": (400, "ResourceLimitExceeded", {}),
    "cut": (0, "", {}),
}

_READ_PREFIXES = ("Describe", "List", "Invoke", "s3:GET", "s3:HEAD")

Respond = Callable[..., Any]


class ServiceError(Exception):
    def __init__(self, message: str, code: str = "ValidationException", status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code, self.status, self.more = code, status, more


@dataclass
class FaultyService:
    """A WSGI application.

    Attributes
    ----------
    operations : list of str
        Operations, in order: `CreateModel`, `s3:PUT` ...
    times : list of float
        Time of each request, in seconds of `time.monotonic`.
    changes : list of str
        The operations that change something.
    drop_after : int or None
        Number of changes that are processed; the response to the last one, and everything after it, is dropped ...
    hold_last : bool
        ... or, while this is set, the client that sent the last one is kept waiting.
    is_dropping : bool
        Whether `drop_after` has been reached.
    last_change_received, released : threading.Event
        Set when the last change was processed, and when the waiting client may continue.
    """

    address: str = ""
    operations: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    drop_after: int | None = None
    hold_last: bool = False
    is_dropping: bool = False
    last_change_received: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def handle(self, operation: str, environ: dict[str, Any], body: bytes, respond: Respond) -> Iterable[bytes]:
        """The service itself. Raises ServiceError."""
        raise NotImplementedError

    def inject_fault(self, operation: str, *kinds: str) -> None:
        """Let the next requests of an operation fail, one per kind. A `*` at the front matches any operation."""
        self.faults += [(operation, kind) for kind in kinds]

    def recover(self) -> None:
        self.is_dropping, self.drop_after, self.hold_last = False, None, False
        self.released.set()

    def reset_faults(self) -> None:
        """Restore the initial state."""
        fresh = FaultyService(self.address)
        for name in FaultyService.__dataclass_fields__.keys() - {"lock"}:
            setattr(self, name, getattr(fresh, name))

    def __call__(self, environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        operation = operation_of(environ)
        with self.lock:
            kind = "cut" if self.is_dropping else self._next_fault(operation)
            if self.is_dropping:
                drop_connection(environ)
            self.operations.append(operation)
            self.times.append(time.monotonic())
            if kind and kind != "cut":
                return _fault(operation, kind, respond)
            try:
                answer = self.handle(operation, environ, body, respond)
            except ServiceError as error:
                body_sent = {"__type": error.code, "message": str(error), "Message": str(error), **error.more}
                answer = send_response(respond, error.status, body_sent, {"x-amzn-ErrorType": error.code})
            if not operation.startswith(_READ_PREFIXES):
                self.changes.append(operation)
                self.is_dropping = self.drop_after is not None and len(self.changes) >= self.drop_after
            last = self.is_dropping
        if last and self.hold_last:
            self.last_change_received.set()
            self.released.wait()
        if kind == "cut" or last:
            drop_connection(environ)
        return answer

    def _next_fault(self, operation: str) -> str | None:
        for number, (named, kind) in enumerate(self.faults):
            if named == operation or (named == "*" and number == 0):
                del self.faults[number]
                return kind
        return None


@contextmanager
def serve_wsgi(front: FaultyService) -> Iterator[None]:
    """Serve on loopback for the duration of a block."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections open, as AWS does

        def log(self, type: str, message: str, *args: object) -> None:
            """Print nothing."""

    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=Handler)
    front.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def operation_of(environ: Mapping[str, Any]) -> str:
    if target := environ.get("HTTP_X_AMZ_TARGET", ""):
        return target.partition(".")[2]
    path = environ["PATH_INFO"]
    if path.endswith("/async-invocations"):
        return "InvokeEndpointAsync"
    return "InvokeEndpoint" if path.endswith("/invocations") else f"s3:{environ['REQUEST_METHOD']}"


def validate_shape(shape: Any, value: Any, where: str) -> None:
    """Refuse what the service's own model refuses; boto3 checks only types and the names of members."""
    limits = shape.metadata
    if shape.type_name == "structure":
        for name, each in value.items():
            validate_shape(shape.members[name], each, f"{where}.{name}")
    elif shape.type_name == "list":
        for each in value:
            validate_shape(shape.member, each, where)
    size = len(value) if isinstance(value, (str, list)) else value if isinstance(value, int) else None
    if size is not None and not limits.get("min", size) <= size <= limits.get("max", size):
        raise ServiceError(f"{value!r} at {where}: must be between {limits.get('min')} and {limits.get('max')}")
    if isinstance(value, str):
        pattern = limits.get("pattern", "")
        if pattern and "\\p" not in pattern and not re.fullmatch(pattern, value):
            raise ServiceError(f"{value!r} at {where}: must match {pattern}")
        if getattr(shape, "enum", None) and value not in shape.enum:
            raise ServiceError(f"{value!r} at {where}: must be one of {shape.enum}")


def send_response(respond: Respond, status: int, payload: Any, headers: Mapping[str, str] | None = None) -> list[bytes]:
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    sent = {"Content-Type": "application/x-amz-json-1.1", "Content-Length": str(len(content)), **(headers or {})}
    respond(f"{status} X", list(sent.items()))
    return [content]


def drop_connection(environ: Mapping[str, Any]) -> None:
    """Drop the connection to the client."""
    with suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError


def _fault(operation: str, kind: str, respond: Respond) -> Iterable[bytes]:
    status, code, headers = FAULT_RESPONSES[kind]
    if operation.startswith("s3:"):
        payload: Any = f"<Error><Code>{code}</Code><Message>{kind}</Message></Error>".encode()
    else:
        payload = {"__type": code, "message": kind} if code else b"patience"
    return send_response(respond, status, payload, headers)
