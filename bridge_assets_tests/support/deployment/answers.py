"""Answers of the served app."""

from __future__ import annotations

import httpx


def error_of(reply: httpx.Response) -> str:
    """The message of an answer that is an error, after checking that it names its request."""
    body = reply.json()
    assert list(body) == ["error", "request_id"]
    assert body["request_id"] == reply.headers["X-Request-ID"]
    return body["error"]
