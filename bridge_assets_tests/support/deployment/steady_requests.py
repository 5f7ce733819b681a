"""A client that sends requests at a steady rate while something happens to the server."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

#: Requests per second.
RATE = 50


@dataclass(frozen=True)
class Response:
    """One response: when the request was sent and answered (s), its status, version and predictions."""

    sent: float
    answered: float
    status: int
    version: str
    predictions: list[float]


def send_requests(
    url: str, body: dict, until: threading.Event, headers: dict[str, str] | None = None
) -> list[Response]:
    """Send `RATE` requests per second until the event, without waiting for the responses."""
    responses: list[Response] = []
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client, ThreadPoolExecutor(16) as threads:

        def send() -> None:
            sent = time.monotonic()
            reply = client.post("/predict", json=body)
            content = reply.json()
            version = reply.headers["X-Model-Version"]
            assert content["model_version"] == version
            responses.append(Response(sent, time.monotonic(), reply.status_code, version, content["predictions"]))

        began, pending = time.monotonic(), []
        while not until.is_set():
            pending.append(threads.submit(send))
            until.wait(max(0.0, began + len(pending) / RATE - time.monotonic()))
        for each in pending:
            each.result()  # a request that failed fails the test
    return responses
