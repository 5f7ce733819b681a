"""A server on loopback that answers `chat.postMessage` as Slack does, or with queued responses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from support.alerting.json_server import Answer, json_server


@dataclass
class SlackApi:
    """`url` is the address of the API; `posts` are the accepted messages, with channel, text and blocks.

    Queued responses (status, headers, body) are sent first; only `{"ok": true}` accepts a message. `token` is the one
    that is valid, `channels` those that the app is a member of. `on_message` is called before a message is answered.
    """

    url: str = ""
    token: str = "xoxb-valid"
    channels: tuple[str, ...] = ("#bridges",)
    posts: list[dict[str, Any]] = field(default_factory=list)
    queued_responses: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    request_count: int = 0
    on_message: Callable[[], object] = lambda: None

    @property
    def texts(self) -> list[str]:
        return [post["text"] for post in self.posts]

    def answer(self, token: str, body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        if self.queued_responses:
            return self.queued_responses.pop(0)
        if token != self.token:
            return 200, {}, json.dumps({"ok": False, "error": "invalid_auth"})
        if body["channel"] not in self.channels:
            return 200, {}, json.dumps({"ok": False, "error": "not_in_channel"})
        return 200, {}, json.dumps({"ok": True, "channel": "C123ABC456", "ts": "1503435956.000247"})


@contextmanager
def slack_api() -> Iterator[SlackApi]:
    api = SlackApi()

    def respond(body: dict[str, Any], headers: Message) -> Answer:
        api.request_count += 1
        status, extra, reply = api.answer(headers["Authorization"].removeprefix("Bearer "), body)
        api.on_message()
        if status == 200 and reply.startswith("{") and json.loads(reply)["ok"]:
            api.posts.append(body)
        return status, {**extra, "Content-Type": "application/json; charset=utf-8"}, reply

    with json_server(respond) as port:
        api.url = f"http://127.0.0.1:{port}/api/"
        yield api
