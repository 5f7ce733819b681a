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
from providers.google_faults import CONNECTION_LOST, HTTP_STATUS, Fault, Faults


@dataclass(frozen=True)
class StoredObject:
    content: bytes
    metadata: dict[str, str]
    generation: int

    @property
    def crc32c(self) -> str:
        return base64.b64encode(google_crc32c.Checksum(self.content).digest()).decode()


class GcsServer:
    """Buckets in memory. `url` is the `api_endpoint` for a client."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self.generations = 0
        self.upload_sessions: dict[str, tuple[str, dict, bytearray]] = {}
        handler = type("Handler", (_Handler,), {"gcs": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def store(self, bucket: str, attributes: dict, content: bytes) -> dict:
        self.generations += 1
        stored = StoredObject(content, attributes.get("metadata", {}), self.generations)
        if attributes.get("crc32c", stored.crc32c) != stored.crc32c:
            raise Fault(grpc.StatusCode.INVALID_ARGUMENT, "Provided CRC32C does not match calculated CRC32C")
        self.objects[bucket, attributes["name"]] = stored
        return self.describe(bucket, attributes["name"])

    def describe(self, bucket: str, name: str) -> dict:
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
    gcs: GcsServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._respond("get" if "/o/" in self.path else "list", changes=False)

    def do_POST(self) -> None:
        self._respond("upload", changes=True)

    do_PUT = do_POST

    def do_DELETE(self) -> None:
        self._respond("delete", changes=True)

    def _respond(self, method: str, changes: bool) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/token":  # exchanges a service account's key for a token
            self._send(200, {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"})
            return
        if not self.path.partition("/b/")[2].partition("/")[2]:
            # For tracing, the client requests the bucket's metadata in a separate thread; a deployment does not need
            # this permission.
            self._send(403, {"error": {"code": 403, "message": "storage.buckets.get denied"}})
            return
        fault = self.gcs.faults.next_fault(f"storage.{method}", changes)
        try:
            if fault and not fault.applied:
                raise fault
            status, answer, headers = getattr(self, f"_{method}")(body)
            if fault:
                raise fault
            self._send(status, answer, headers)
        except Fault as fault_raised:
            if fault_raised.message == CONNECTION_LOST:
                self.close_connection = True
                return
            headers = {} if fault_raised.retry_after is None else {"Retry-After": f"{fault_raised.retry_after:.0f}"}
            self._send(
                HTTP_STATUS[fault_raised.code],
                {"error": {"code": HTTP_STATUS[fault_raised.code], "message": fault_raised.message}},
                headers,
            )

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
        return 200, self.gcs.describe(*self._bucket_and_name), {}

    def _list(self, body: bytes) -> tuple[int, dict, dict]:
        bucket, prefix = self._bucket_and_name[0], self._query("prefix")
        names = sorted(
            name for object_bucket, name in self.gcs.objects if object_bucket == bucket and name.startswith(prefix)
        )
        return 200, {"items": [self.gcs.describe(bucket, name) for name in names]}, {}

    def _delete(self, body: bytes) -> tuple[int, None, dict]:
        self.gcs.describe(*self._bucket_and_name)
        del self.gcs.objects[self._bucket_and_name]
        return 204, None, {}

    def _upload(self, body: bytes) -> tuple[int, dict | None, dict]:
        bucket = self._bucket_and_name[0]
        if session := self._query("upload_id"):
            return self._resume_upload(session, body)
        if self._query("uploadType") == "resumable":
            session = f"session{len(self.gcs.upload_sessions)}"
            self.gcs.upload_sessions[session] = (bucket, json.loads(body), bytearray())
            return 200, None, {"Location": f"{self.gcs.url}{self.path}&upload_id={session}"}
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        attributes, content = (bytes(part.get_payload(decode=True)) for part in message.iter_parts())  # type: ignore[arg-type]
        return 200, self.gcs.store(bucket, json.loads(attributes), content), {}

    def _resume_upload(self, session: str, body: bytes) -> tuple[int, dict | None, dict]:
        bucket, attributes, content = self.gcs.upload_sessions[session]
        content += body
        total = self.headers["Content-Range"].rpartition("/")[2]
        if total == "*" or len(content) < int(total):
            return 308, None, {"Range": f"bytes=0-{len(content) - 1}"}
        return 200, self.gcs.store(bucket, attributes, bytes(content)), {}
