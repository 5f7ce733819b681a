"""A web server on loopback that serves files correctly, or with any fault that a test needs."""

from __future__ import annotations

import datetime
import ipaddress
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


@dataclass
class ServedFile:
    """One path of the server, and how it behaves.

    Each request uses up one of the `faults` (`503`, `429`, `cut`); later requests are answered normally.
    """

    body: bytes = b""
    etag: str = ""
    last_modified: str = ""
    ranges: bool = True
    content_type: str = "application/octet-stream"
    faults: list[str] = field(default_factory=list)
    retry_after: str = ""
    redirect: str = ""
    status: int = 200
    content_length: int | None = None
    chunked: bool = False
    encoding: str = ""
    chunk_delay: float = 0.0
    cut_after: int = 300_000

    def set_body(self, body: bytes) -> None:
        self.body, self.etag = body, f'"{sha256(body).hexdigest()[:16]}"'


@dataclass
class DownloadServer:
    """The served files, and a record of the requests: (method, path, headers) and bytes sent."""

    address: str
    files: dict[str, ServedFile] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    bytes_sent: int = 0

    def serve(self, path: str, body: bytes = b"", **options) -> str:
        """Serve a path; returns its address."""
        served = ServedFile(**options)
        if body:
            served.set_body(body)
            served.etag = options.get("etag", served.etag)
        self.files[path] = served
        return self.address + path


@contextmanager
def download_server(certificate: Path | None = None) -> Iterator[DownloadServer]:
    """Run a server for the duration of a block; over https if a certificate is given (PEM, with its key)."""
    state = DownloadServer("")
    handler = type("_Bound", (_Handler,), {"state": state})
    running = _QuietServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        running.socket = context.wrap_socket(running.socket, server_side=True)
    state.address = f"http{'s' if certificate else ''}://127.0.0.1:{running.server_address[1]}"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect; some tests do this on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ClassVar[DownloadServer]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.state.requests.append((self.command, self.path, dict(self.headers.items())))
        served = self.state.files.get(self.path.partition("?")[0])
        fault = served.faults.pop(0) if served and served.faults else ""
        if served is None:
            self._send_response(404, b"<html>not found</html>", {"Content-Type": "text/html"})
        elif served.redirect:
            self._send_response(302, b"", {"Location": served.redirect})
        elif fault.isdigit() or served.status != 200:
            extra = {"Retry-After": served.retry_after} if served.retry_after else {}
            self._send_response(int(fault or served.status), b"patience", extra)
        else:
            self._send_file(served, fault)

    def _send_file(self, served: ServedFile, fault: str) -> None:
        headers = {"Content-Type": served.content_type, "Last-Modified": served.last_modified, "ETag": served.etag}
        headers = {name: value for name, value in headers.items() if value}
        request_headers = self.headers
        same = served.etag and request_headers.get("If-None-Match") == served.etag
        if same or (served.last_modified and request_headers.get("If-Modified-Since") == served.last_modified):
            return self._send_response(304, b"", headers)
        status, body = 200, served.body
        found = re.fullmatch(r"bytes=(\d+)-", request_headers.get("Range", ""))
        if_range_matches = request_headers.get("If-Range", served.etag) in (served.etag, served.last_modified or None)
        if found and served.ranges and if_range_matches:
            start, whole = int(found[1]), len(served.body)
            if start >= whole:
                return self._send_response(416, b"", {"Content-Range": f"bytes */{whole}"})
            status, body = 206, served.body[start:]
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        if served.encoding:
            headers["Content-Encoding"] = served.encoding
        return self._send_response(status, body, headers, served, fault)

    def _send_response(
        self, status: int, body: bytes, headers: dict[str, str], served: ServedFile | None = None, fault: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        length = len(body)
        if served and status == 200 and served.content_length is not None:
            length = served.content_length
        if served and served.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if served and fault == "cut":
            body = body[: served.cut_after]
        try:
            for at in range(0, len(body), 50_000):
                piece = body[at : at + 50_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if served and served.chunked else piece)
                self.state.bytes_sent += len(piece)
                if served and served.chunk_delay:
                    time.sleep(served.chunk_delay)
            if served and served.chunked and fault != "cut":
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True  # the client has disconnected
        if fault == "cut" or (served and served.content_length is not None):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def self_signed(path: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1, with its key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now.replace(year=9999))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key_text)
    return path
