"""A receiver of incoming webhooks on loopback: responds like Slack, or with queued responses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class SlackReceiver:
    """`url` accepts messages; `messages` are those that were accepted; `queued_responses` (status, headers, body) are
    sent first. `on_message` is called before a message is answered: the sender waits for it.
    """

    url: str = ""
    messages: list[str] = field(default_factory=list)
    queued_responses: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    request_count: int = 0
    on_message: Callable[[], object] = lambda: None


def _text(body: dict) -> str:
    """The text of a message, or title and text of the attachments that Alertmanager sends."""
    if "attachments" not in body:
        return body["text"]
    return "\n".join(f"{each['title']}\n{each['text']}" for each in body["attachments"])


@contextmanager
def slack_receiver() -> Iterator[SlackReceiver]:
    receiver = SlackReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.request_count += 1
            status, headers, reply = receiver.queued_responses.pop(0) if receiver.queued_responses else (200, {}, "ok")
            receiver.on_message()
            if status == 200:
                receiver.messages.append(_text(body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/services/T000/B000/secret"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        server.shutdown()
