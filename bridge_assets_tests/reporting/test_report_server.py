"""The reports are served on this machine only, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.pages.drift import drift_page

from bridge_assets.reporting.drift.page import render_drift_page
from bridge_assets.reporting.report_server import HOST, report_address, start_report_server

PAGE = b"<!doctype html><title>Condition</title><style>p{color:red}</style><p>612 bridges"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "reports"
    folder.mkdir(parents=True)
    (folder / "condition_report.html").write_bytes(PAGE)
    (folder / "bridge_outlook.csv").write_bytes(b"structure_key\n01-123\n" * 60_000)
    (folder / ".hidden.html").write_bytes(b"secret")
    (folder / "notes.txt").write_bytes(b"secret")
    (folder / "folder.html").mkdir()
    (tmp_path / "home" / "secret.html").write_bytes(b"secret")
    (folder / "link.html").symlink_to(tmp_path / "home" / "secret.html")
    os.mkfifo(folder / "pipe.html")
    return folder


@pytest.fixture
def port(reports: Path) -> Iterator[int]:
    listener = socket.create_server((HOST, 0))
    number = listener.getsockname()[1]
    server = start_report_server(reports, listener)
    yield number
    server.terminate()
    assert server.wait(timeout=20) in (0, -signal.SIGTERM)


def fetch(
    port: int, path: str, method: str = "GET", host: str | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """The answer to a request, with the path as it is written here."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=20)) as connection:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or f"{HOST}:{port}")
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def script_hash() -> str:
    """As a browser computes it of the script of a page."""
    html = render_drift_page(drift_page())
    text = html[html.index("<script>") + len("<script>") : html.index("</script>")]
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def test_a_report_is_served_with_headers_that_forbid_other_scripts_and_other_sites(port: int) -> None:
    status, headers, body = fetch(port, "/condition_report.html")
    assert (status, body) == (200, PAGE)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert re.findall("script-src [^;]*", policy) == [f"script-src 'sha256-{script_hash()}'"]
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert report_address(port, "condition_report.html") == f"http://127.0.0.1:{port}/condition_report.html"


def test_a_large_sheet_arrives_whole_and_head_has_its_size(port: int, reports: Path) -> None:
    expected = (reports / "bridge_outlook.csv").read_bytes()
    assert fetch(port, "/bridge_outlook.csv")[2] == expected
    status, headers, body = fetch(port, "/bridge_outlook.csv", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(expected)), b"")


def test_the_index_lists_what_is_served(port: int) -> None:
    status, _, body = fetch(port, "/", host=f"localhost:{port}")
    assert status == 200
    assert b'href="/condition_report.html"' in body
    assert not any(name in body for name in (b"hidden", b"notes", b"link.html"))


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html",
        "/..%2fsecret.html",
        "/%2e%2e/secret.html",
        "/folder.html/../../secret.html",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/..%5csecret.html",
        "/link.html",
        "/folder.html",
        "/pipe.html",
        "/.hidden.html",
        "/notes.txt",
        "/condition_report.html%00.txt",
        "/missing.html",
    ],
)
def test_nothing_else_is_served(port: int, path: str) -> None:
    status, headers, body = fetch(port, path)
    assert status == 404
    assert b"secret" not in body.replace(b"secret.html", b"")
    assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", "127.0.0.1.evil.example:{port}"]
)
def test_another_name_is_refused(port: int, host: str) -> None:
    status, _, body = fetch(port, "/condition_report.html", host=host.format(port=port))
    assert status == 421
    assert PAGE not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_it_is_read_only(port: int, method: str) -> None:
    assert fetch(port, "/condition_report.html", method)[0] == 405


def test_only_this_machine_can_connect(port: int) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    addresses = {row[1] for row in listening if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    assert addresses == {f"0100007F:{port:04X}"}


def test_a_folder_that_does_not_exist_yet_says_so(tmp_path: Path) -> None:
    listener = socket.create_server((HOST, 0))
    port = listener.getsockname()[1]
    server = start_report_server(tmp_path / "reports", listener)
    try:
        assert b"No report has been written yet" in fetch(port, "/")[2]
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_process_that_started_it(reports: Path, end: signal.Signals) -> None:
    code = (
        "import socket, sys, time; from pathlib import Path\n"
        "from bridge_assets.reporting.report_server import start_report_server\n"
        "listener = socket.create_server(('127.0.0.1', 0)); print(listener.getsockname()[1], flush=True)\n"
        "start_report_server(Path(sys.argv[1]), listener); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(reports)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        assert fetch(port, "/condition_report.html")[0] == 200
        parent.send_signal(end)
        parent.wait(timeout=20)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            fetch(port, "/")
        except ConnectionError:
            return
        time.sleep(0.2)
    pytest.fail("the report server is still there")
