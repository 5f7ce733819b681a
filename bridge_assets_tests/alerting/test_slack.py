"""A message arrives once, in plain text; what went wrong is logged without the address, and never raises."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.alerting.slack_receiver import slack_receiver

from bridge_assets.alerting import slack as slack_module
from bridge_assets.alerting.slack import alert, post, send_slack_alert
from bridge_assets.alerting.text import MAX_CHARACTERS, slack_text


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that anybody logs, urllib3's debug lines included."""
    caplog.set_level(logging.DEBUG)
    return caplog


def test_characters_that_slack_interprets_are_escaped():
    with slack_receiver() as slack:
        assert send_slack_alert("bridge <!channel> 5 > 4 & O'NEAL ROAD", slack.url) is True
        assert slack.messages == ["bridge &lt;!channel&gt; 5 &gt; 4 &amp; O'NEAL ROAD"]


@pytest.mark.parametrize("character", ["x", "&", "<", "é", "\N{BRIDGE AT NIGHT}", "\ud800"])
def test_a_long_text_is_cut_with_a_note_that_says_how_much(character):
    with slack_receiver() as slack:
        assert send_slack_alert(character * 5000, slack.url)
        [text] = slack.messages
    assert len(text.encode("utf-16-le", "surrogatepass")) // 2 <= MAX_CHARACTERS
    body, _, note = text.rpartition("\n")
    escaped = slack_text(character)
    kept = len(body) // len(escaped)
    assert body == escaped * kept
    assert note == f"… ({5000 - kept:,} of 5,000 characters were cut)"


def test_a_text_that_fits_is_not_cut():
    assert slack_text("x" * MAX_CHARACTERS) == "x" * MAX_CHARACTERS
    assert len(slack_text("x" * (MAX_CHARACTERS + 1))) < MAX_CHARACTERS


def test_throttled_and_failed_requests_are_retried():
    with slack_receiver() as slack:
        slack.queued_responses = [(429, {"Retry-After": "0"}, "rate_limited"), (503, {}, "")]
        assert send_slack_alert("again", slack.url)
        assert (slack.request_count, slack.messages) == (3, ["again"])


def test_a_long_retry_after_is_not_waited_for(log):
    with slack_receiver() as slack:
        slack.queued_responses = [(429, {"Retry-After": "3600"}, "rate_limited")]
        began = time.monotonic()
        assert send_slack_alert("x", slack.url) is False
        assert time.monotonic() - began < 5
        assert slack.request_count == 1
        slack.queued_responses = [(429, {"Retry-After": "3600"}, "rate_limited")]
        assert post("x", slack.url).retry_after == 3600
    assert "429 rate_limited" in log.text


def test_lasting_server_errors_end(log, monkeypatch):
    monkeypatch.setattr(slack_module, "_PATIENCE_SECONDS", 1.0)
    with slack_receiver() as slack:
        slack.queued_responses = [(500, {}, "rollup_error")] * 9
        assert send_slack_alert("x", slack.url) is False
        assert 1 < slack.request_count <= 4
    assert "500 rollup_error" in log.text


@pytest.mark.parametrize(("status", "reason"), [
    (404, "no_service"), (403, "invalid_token"), (400, "invalid_token"), (400, "invalid_payload"), (302, ""),
])  # fmt: skip
def test_a_rejection_is_logged_with_the_reason_but_not_the_address(status, reason, log):
    with slack_receiver() as slack:
        slack.queued_responses = [(status, {"Location": slack.url}, f"{reason} for {slack.url}" if reason else "")]
        assert send_slack_alert("x", slack.url) is False
        assert slack.request_count == 1
    assert f"{status} {reason}" in log.text
    assert "SLACK_WEBHOOK_URL" in log.text
    assert "secret" not in log.text


def test_which_rejections_concern_the_message_and_which_the_webhook():
    with slack_receiver() as slack:
        slack.queued_responses = [(400, {}, "invalid_payload"), (400, {}, "invalid_token"), (404, {}, "no_service")]
        assert [post("x", slack.url).unacceptable for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("address", [
    "http://127.0.0.1:9/services/secret",
    "http://no-such-host.invalid/services/secret",
    "hooks.slack.com/services/secret",
    "ftp://127.0.0.1/services/secret",
    "http://[::1/services/secret",
    "http://" + "x" * 300 + "/services/secret",
    "\x00secret",
    "",
])  # fmt: skip
def test_an_unusable_address_is_not_logged_and_raises_nothing(address, log, monkeypatch):
    monkeypatch.setattr(slack_module, "_PATIENCE_SECONDS", 0.0)
    assert send_slack_alert("x", address) is False
    assert "was not delivered" in log.text
    assert "secret" not in log.text


@contextmanager
def server_that(answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads a request, sends `answers`, and keeps the connection open if there are none."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                received.append(connection.recv(65536))
                if answers:
                    connection.sendall(answers)
                    connection.close()
                else:
                    kept.append(connection)

        kept: list[socket.socket] = []
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/services/secret", received
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("answers", [b"", b"HTTP/1.1 2"])
def test_a_request_that_is_not_answered_may_have_arrived_and_is_not_repeated(answers, log, monkeypatch):
    monkeypatch.setattr(slack_module, "_TIMEOUT_SECONDS", 0.5)
    with server_that(answers) as (address, received):
        assert send_slack_alert("x", address) is False
        assert len(received) == 1
        delivery = post("x", address)
    assert delivery.uncertain
    assert delivery.temporary
    assert "may have the message" in log.text
    assert "secret" not in log.text + delivery.problem


def test_no_connection_is_certain_not_to_have_arrived():
    delivery = post("x", "http://127.0.0.1:9/services/secret")
    assert (delivery.delivered, delivery.uncertain, delivery.temporary) == (False, False, True)


def test_without_an_address_nothing_is_sent(monkeypatch):
    assert alert("x") is False
    with slack_receiver() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        assert alert("x") is True
        assert slack.messages == ["x"]
