"""Serves the folder of the reports on this machine, so that the Dagster UI can link to them.

A browser does not follow a link to a `file://` address from a page that was loaded over HTTP.

Read-only, on the loopback address only, and only the reports themselves: regular files directly in the folder. Belongs
here: the app, and its process, which ends with the process that started it. Does not belong here: choosing a port
(`cli.ports`).
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bridge_assets.reporting.html import palette
from bridge_assets.reporting.html.pages import content_security_policy

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"

#: Suffix of a file that is served -> its type.
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
}

#: Names of files that are served: no folders, no hidden files, nothing that a path could be hidden in.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

#: The pages are self-contained: styles and images are in the page, and so is their one script.
_HEADERS = {
    "Content-Security-Policy": content_security_policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_CHUNK_BYTES = 1 << 18

#: Seconds between two looks at whether the parent process is still there.
_POLL_SECONDS = 0.5


def report_address(port: int, name: str) -> str:
    """Address of a report while `bridge-assets dev` runs."""
    return f"http://{HOST}:{port}/{name}"


def make_app(folder: Path, port: int) -> Starlette:
    """The app: `/` lists the reports, `/<name>` is one of them.

    Parameters
    ----------
    folder : Path
        Need not exist yet.
    port : int
        Requests must name it in their Host header, together with a name of this machine. A page on another site whose
        name has been redirected to 127.0.0.1 (DNS rebinding) is refused in this way.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Route

    async def index(request: Request) -> Response:
        return _index(folder)

    async def report(request: Request) -> Response:
        return _report(folder, request.path_params["name"], with_body=request.method == "GET")

    return Starlette(
        routes=[Route("/", index, methods=["GET"]), Route("/{name}", report, methods=["GET"])],
        middleware=[Middleware(_LocalOnly, hosts={f"{HOST}:{port}", f"localhost:{port}"})],
    )


class _LocalOnly:
    """Middleware: refuses requests under another name than this machine's, and adds the headers."""

    def __init__(self, app: ASGIApp, hosts: set[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.datastructures import Headers, MutableHeaders
        from starlette.responses import PlainTextResponse

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        host = Headers(scope=scope).get("host", "").lower()
        refusal = PlainTextResponse(f"Open this as http://{HOST}, not as {host!r}.\n", 421)
        await (self._app if host in self._hosts else refusal)(scope, receive, send_with_headers)


def _index(folder: Path) -> Response:
    from starlette.responses import HTMLResponse

    names = sorted(path.name for path in folder.glob("*") if _is_served(path.name) and not path.is_symlink())
    links = "".join(f'<li><a href="/{escape(name)}">{escape(name)}</a></li>' for name in names)
    content = f"<ul>{links}</ul>" if links else "<p>No report has been written yet: run the job full_pipeline.</p>"
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Reports</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{palette.css()}a{{color:var(--accent)}}body{{font:16px/1.6 system-ui,sans-serif;margin:3rem auto;"
        f"max-width:40rem;padding:0 1rem;background:var(--page);color:var(--ink)}}</style>"
        f"<main><h1>Reports</h1>{content}<p>From <code>{escape(str(folder))}</code></p></main></html>"
    )


def _is_served(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and Path(name).suffix in CONTENT_TYPES


def _report(folder: Path, name: str, with_body: bool) -> Response:
    from starlette.responses import PlainTextResponse, Response, StreamingResponse

    file = _open_regular_file(folder / name) if _is_served(name) else None
    if file is None:
        return PlainTextResponse(f"There is no report of this name in {folder}; / lists them.\n", 404)
    size = os.fstat(file.fileno()).st_size
    headers = {"Content-Type": CONTENT_TYPES[Path(name).suffix], "Content-Length": str(size)}
    if with_body:
        return StreamingResponse(_chunks(file), headers=headers)
    file.close()
    return Response(headers=headers)


def _open_regular_file(path: Path) -> IO[bytes] | None:
    """A regular file, opened; None if there is none. A symbolic link is not followed: it may lead out of the folder."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def start_report_server(folder: Path, listener: socket.socket) -> subprocess.Popen[bytes]:
    """Serve a folder in a process of its own, until this process ends.

    Parameters
    ----------
    folder : Path
    listener : socket
        Bound to the address to serve on. The new process takes it over.
    """
    with listener:
        return subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder), str(listener.fileno()), str(os.getpid())],
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
        )


async def _serve(folder: Path, listener: socket.socket, parent: int) -> None:
    import uvicorn

    app = make_app(folder, listener.getsockname()[1])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none"))

    async def end_with_parent() -> None:
        while os.getppid() == parent and not server.should_exit:
            await asyncio.sleep(_POLL_SECONDS)
        server.should_exit = True

    watcher = asyncio.create_task(end_with_parent())
    await server.serve(sockets=[listener])
    watcher.cancel()


if __name__ == "__main__":
    import contextlib

    with contextlib.suppress(KeyboardInterrupt), socket.socket(fileno=int(sys.argv[2])) as inherited:
        asyncio.run(_serve(Path(sys.argv[1]), inherited, int(sys.argv[3])))
