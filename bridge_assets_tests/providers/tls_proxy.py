"""A proxy that stands in for the internet: it responds over TLS in the name of the hosts that an SDK talks to.

An SDK that uses it (`HTTPS_PROXY`, `REQUESTS_CA_BUNDLE`) sends requests to its usual addresses. Nothing is forwarded:
requests to any other host are refused.
"""

from __future__ import annotations

import datetime
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Request:
    """A request: the body as bytes, names of headers in lower case."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(frozen=True)
class Response:
    """A response; `content` is sent unchanged if it is bytes, otherwise as JSON."""

    status: int = 200
    content: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class ConnectionDropped(Exception):
    """Raised by a responder to drop the connection without a response."""


Responder = Callable[[Request], Response]


@contextmanager
def intercept_hosts(hosts: list[str], respond: Responder, folder: Path) -> Iterator[dict[str, str]]:
    """Respond for some hosts; yields the environment variables that direct a client here.

    Parameters
    ----------
    hosts : list of str
        Names, or `*.` and a domain.
    respond : callable
        Request -> response; raises `ConnectionDropped` for none.
    folder : Path
        Folder for the certificates.
    """
    authority, chain = certificates(hosts, folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        host = ""

        def do_CONNECT(self) -> None:
            self.host = self.path.rpartition(":")[0]
            if not any(_host_matches(name, self.host) for name in hosts):
                self.send_error(403, f"{self.host} is not served here")
                return
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.connection = tls.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
            self.close_connection = False

        def answer(self) -> None:
            parts = urlsplit(self.path)
            request = Request(
                self.command,
                self.host,
                parts.path,
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            )
            try:
                response = respond(request)
            except ConnectionDropped:
                self.close_connection = True
                return
            content = response.content if isinstance(response.content, bytes) else json.dumps(response.content).encode()
            self.send_response(response.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **response.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content if self.command != "HEAD" else b"")
            self.wfile.flush()

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = answer

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # a client disconnected or rejected the certificate; its own test notices
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield {"HTTPS_PROXY": f"http://127.0.0.1:{server.server_port}", "REQUESTS_CA_BUNDLE": str(authority)}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _host_matches(name: str, host: str) -> bool:
    return host == name or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def certificates(hosts: list[str], folder: Path) -> tuple[Path, Path]:
    """A certificate authority that is valid for one day, and the chain and key of a server for these hosts."""
    key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bridge_assets tests")])
    now = datetime.datetime.now(datetime.UTC)

    def new_builder(subject: x509.Name, of: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    root = (
        new_builder(issuer, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    server = (
        new_builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]), server_key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority, chain = folder / "authority.pem", folder / "server.pem"
    authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    chain.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + server.public_bytes(serialization.Encoding.PEM)
    )
    return authority, chain
