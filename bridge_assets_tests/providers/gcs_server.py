"""Google Cloud Storage on loopback: the part of its JSON API that google-cloud-storage uses for small objects."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c
import grpc
from providers.google_faults import CUT, HTTP, Fault, Faults


@dataclass(frozen=True)
class Object:
    content: bytes
    metadata: dict[str, str]
    generation: int

    @property
    def crc32c(self) -> str:
        return base64.b64encode(google_crc32c.Checksum(self.content).digest()).decode()


class GcsServer:
    """Buckets in memory. `url` is what a client's `api_endpoint` is set to."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.objects: dict[tuple[str, str], Object] = {}
        self.generations = 0
        self.begun: dict[str, tuple[str, dict, bytearray]] = {}
        handler = type("Handler", (_Handler,), {"server_of": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def end(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def store(self, bucket: str, about: dict, content: bytes) -> dict:
        self.generations += 1
        made = Object(content, about.get("metadata", {}), self.generations)
        if about.get("crc32c", made.crc32c) != made.crc32c:
            raise Fault(grpc.StatusCode.INVALID_ARGUMENT, "Provided CRC32C does not match calculated CRC32C")
        self.objects[bucket, about["name"]] = made
        return self.described(bucket, about["name"])

    def described(self, bucket: str, name: str) -> dict:
        if (found := self.objects.get((bucket, name))) is None:
            raise Fault(grpc.StatusCode.NOT_FOUND, f"No such object: {bucket}/{name}")
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": bucket,
            "size": str(len(found.content)),
            "crc32c": found.crc32c,
            "metadata": found.metadata,
            "generation": str(found.generation),
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of: GcsServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("get" if "/o/" in self.path else "list", changes=False)

    def do_POST(self) -> None:
        self._answer("upload", changes=True)

    do_PUT = do_POST

    def do_DELETE(self) -> None:
        self._answer("delete", changes=True)

    def _answer(self, method: str, changes: bool) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/token":  # where a service account's key is exchanged
            self._send(200, {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"})
            return
        if not self.path.partition("/b/")[2].partition("/")[2]:
            # The client asks a bucket about itself in a thread of its own, for traces; whoever deploys need not be
            # allowed to.
            self._send(403, {"error": {"code": 403, "message": "storage.buckets.get denied"}})
            return
        fault = self.server_of.faults.of(f"storage.{method}", changes)
        try:
            if fault and not fault.done:
                raise fault
            status, answer, headers = getattr(self, f"_{method}")(body)
            if fault:
                raise fault
            self._send(status, answer, headers)
        except Fault as said:
            if said.message == CUT:
                self.close_connection = True
                return
            headers = {} if said.after is None else {"Retry-After": f"{said.after:.0f}"}
            self._send(HTTP[said.code], {"error": {"code": HTTP[said.code], "message": said.message}}, headers)

    def _send(self, status: int, answer: dict | None, headers: dict[str, str] | None = None) -> None:
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @property
    def _bucket_and_name(self) -> tuple[str, str]:
        parts = urlsplit(self.path).path.partition("/b/")[2].split("/")
        return unquote(parts[0]), unquote("/".join(parts[2:]))

    def _query(self, name: str) -> str:
        return parse_qs(urlsplit(self.path).query).get(name, [""])[0]

    def _get(self, body: bytes) -> tuple[int, dict, dict]:
        return 200, self.server_of.described(*self._bucket_and_name), {}

    def _list(self, body: bytes) -> tuple[int, dict, dict]:
        bucket, prefix = self._bucket_and_name[0], self._query("prefix")
        names = sorted(name for there, name in self.server_of.objects if there == bucket and name.startswith(prefix))
        return 200, {"items": [self.server_of.described(bucket, name) for name in names]}, {}

    def _delete(self, body: bytes) -> tuple[int, None, dict]:
        self.server_of.described(*self._bucket_and_name)
        del self.server_of.objects[self._bucket_and_name]
        return 204, None, {}

    def _upload(self, body: bytes) -> tuple[int, dict | None, dict]:
        bucket = self._bucket_and_name[0]
        if session := self._query("upload_id"):
            return self._go_on(session, body)
        if self._query("uploadType") == "resumable":
            session = f"session{len(self.server_of.begun)}"
            self.server_of.begun[session] = (bucket, json.loads(body), bytearray())
            return 200, None, {"Location": f"{self.server_of.url}{self.path}&upload_id={session}"}
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        about, content = (bytes(part.get_payload(decode=True)) for part in message.iter_parts())  # type: ignore[arg-type]
        return 200, self.server_of.store(bucket, json.loads(about), content), {}

    def _go_on(self, session: str, body: bytes) -> tuple[int, dict | None, dict]:
        bucket, about, content = self.server_of.begun[session]
        content += body
        total = self.headers["Content-Range"].rpartition("/")[2]
        if total == "*" or len(content) < int(total):
            return 308, None, {"Range": f"bytes=0-{len(content) - 1}"}
        return 200, self.server_of.store(bucket, about, bytes(content)), {}
