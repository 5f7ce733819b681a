"""A receiver of incoming webhooks on loopback: responds like Slack, or with queued responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from support.alerting.json_server import Answer, json_server


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

    def respond(body: dict[str, Any], headers: Message) -> Answer:
        receiver.request_count += 1
        status, extra, reply = receiver.queued_responses.pop(0) if receiver.queued_responses else (200, {}, "ok")
        receiver.on_message()
        if status == 200:
            receiver.messages.append(_text(body))
        return status, extra, reply

    with json_server(respond) as port:
        receiver.url = f"http://127.0.0.1:{port}/services/T000/B000/secret"
        yield receiver
