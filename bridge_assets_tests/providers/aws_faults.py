"""What stands in front of an AWS service in a test: it notes every request, and loses, delays or refuses some."""

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

#: The variables of a user whose credentials are good for nothing else.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

#: Fault -> status, code, headers. `cut`: the request is heard, its answer is not.
FAULT_RESPONSES: dict[str, tuple[int, str, dict[str, str]]] = {
    "throttled": (400, "ThrottlingException", {}),
    "told to wait": (429, "", {"Retry-After": "1"}),
    "told to come at once": (429, "", {"Retry-After": "0"}),
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
        When each was asked for, in seconds of `time.monotonic`.
    changes : list of str
        Those that change something.
    drop_after : int or None
        So many changes are heard; then the last one's answer, and everything else, is cut ...
    hold_last : bool
        ... or, while this is set, whoever sent the last one is kept waiting.
    is_dropping : bool
        That has happened.
    last_change_received, released : threading.Event
        That the last change was heard, and that nobody is kept waiting any more.
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
        """The service itself. Raises Refused."""
        raise NotImplementedError

    def inject_fault(self, operation: str, *kinds: str) -> None:
        """Let the next requests of an operation fail, one a kind. `*` is any, once it is the first in line."""
        self.faults += [(operation, kind) for kind in kinds]

    def recover(self) -> None:
        self.is_dropping, self.drop_after, self.hold_last = False, None, False
        self.released.set()

    def reset_faults(self) -> None:
        """Make everything as it was at the start."""
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
            except ServiceError as refused:
                body_sent = {"__type": refused.code, "message": str(refused), "Message": str(refused), **refused.more}
                answer = send_response(respond, refused.status, body_sent, {"x-amzn-ErrorType": refused.code})
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
    """Serve on loopback for the time of a block."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        protocol_version = "HTTP/1.1"  # a connection is kept, as by AWS

        def log(self, type: str, message: str, *args: object) -> None:
            """Nothing on the terminal."""

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
    """Refuse what the service's own model refuses; boto3 looks at types and at the names of members alone."""
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
    """Cut the line to the client."""
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
