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
FAULTS: dict[str, tuple[int, str, dict[str, str]]] = {
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

_READS = ("Describe", "List", "Invoke", "s3:GET", "s3:HEAD")

Respond = Callable[..., Any]


class Refused(Exception):
    def __init__(self, message: str, code: str = "ValidationException", status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code, self.status, self.more = code, status, more


@dataclass
class Front:
    """A WSGI application.

    Attributes
    ----------
    asked : list of str
        Operations, in order: `CreateModel`, `s3:PUT` ...
    times : list of float
        When each was asked for, in seconds of `time.monotonic`.
    changes : list of str
        Those that change something.
    silent_after : int or None
        So many changes are heard; then the last one's answer, and everything else, is cut ...
    held : bool
        ... or, while this is set, whoever sent the last one is kept waiting.
    silent : bool
        That has happened.
    heard_last, released : threading.Event
        That the last change was heard, and that nobody is kept waiting any more.
    """

    address: str = ""
    asked: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    silent_after: int | None = None
    held: bool = False
    silent: bool = False
    heard_last: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answered(self, operation: str, environ: dict[str, Any], body: bytes, respond: Respond) -> Iterable[bytes]:
        """The service itself. Raises Refused."""
        raise NotImplementedError

    def fault(self, operation: str, *kinds: str) -> None:
        """Let the next requests of an operation fail, one a kind. `*` is any, once it is the first in line."""
        self.faults += [(operation, kind) for kind in kinds]

    def hear_again(self) -> None:
        self.silent, self.silent_after, self.held = False, None, False
        self.released.set()

    def forget(self) -> None:
        """Make everything as it was at the start."""
        fresh = Front(self.address)
        for name in Front.__dataclass_fields__.keys() - {"lock"}:
            setattr(self, name, getattr(fresh, name))

    def __call__(self, environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        operation = operation_of(environ)
        with self.lock:
            kind = "cut" if self.silent else self._next_fault(operation)
            if self.silent:
                cut(environ)
            self.asked.append(operation)
            self.times.append(time.monotonic())
            if kind and kind != "cut":
                return _fault(operation, kind, respond)
            try:
                answer = self.answered(operation, environ, body, respond)
            except Refused as refused:
                said = {"__type": refused.code, "message": str(refused), "Message": str(refused), **refused.more}
                answer = respond_with(respond, refused.status, said, {"x-amzn-ErrorType": refused.code})
            if not operation.startswith(_READS):
                self.changes.append(operation)
                self.silent = self.silent_after is not None and len(self.changes) >= self.silent_after
            last = self.silent
        if last and self.held:
            self.heard_last.set()
            self.released.wait()
        if kind == "cut" or last:
            cut(environ)
        return answer

    def _next_fault(self, operation: str) -> str | None:
        for number, (named, kind) in enumerate(self.faults):
            if named == operation or (named == "*" and number == 0):
                del self.faults[number]
                return kind
        return None


@contextmanager
def running(front: Front) -> Iterator[None]:
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


def check(shape: Any, value: Any, where: str) -> None:
    """Refuse what the service's own model refuses; boto3 looks at types and at the names of members alone."""
    limits = shape.metadata
    if shape.type_name == "structure":
        for name, each in value.items():
            check(shape.members[name], each, f"{where}.{name}")
    elif shape.type_name == "list":
        for each in value:
            check(shape.member, each, where)
    size = len(value) if isinstance(value, (str, list)) else value if isinstance(value, int) else None
    if size is not None and not limits.get("min", size) <= size <= limits.get("max", size):
        raise Refused(f"{value!r} at {where}: must be between {limits.get('min')} and {limits.get('max')}")
    if isinstance(value, str):
        pattern = limits.get("pattern", "")
        if pattern and "\\p" not in pattern and not re.fullmatch(pattern, value):
            raise Refused(f"{value!r} at {where}: must match {pattern}")
        if getattr(shape, "enum", None) and value not in shape.enum:
            raise Refused(f"{value!r} at {where}: must be one of {shape.enum}")


def respond_with(respond: Respond, status: int, said: Any, headers: Mapping[str, str] | None = None) -> list[bytes]:
    content = said if isinstance(said, bytes) else json.dumps(said).encode()
    sent = {"Content-Type": "application/x-amz-json-1.1", "Content-Length": str(len(content)), **(headers or {})}
    respond(f"{status} X", list(sent.items()))
    return [content]


def cut(environ: Mapping[str, Any]) -> None:
    """Cut the line to the client."""
    with suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError


def _fault(operation: str, kind: str, respond: Respond) -> Iterable[bytes]:
    status, code, headers = FAULTS[kind]
    if operation.startswith("s3:"):
        said: Any = f"<Error><Code>{code}</Code><Message>{kind}</Message></Error>".encode()
    else:
        said = {"__type": code, "message": kind} if code else b"patience"
    return respond_with(respond, status, said, headers)
