"""Messages to a channel through the client of dagster-slack: what Slack answers decides what the outbox does."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest
from support.alerting.slack_api import SlackApi, slack_api

from bridge_assets.alerting.destinations import Channel
from bridge_assets.alerting.message import Message
from bridge_assets.alerting.outbox import Outbox
from bridge_assets.orchestration.alerts.routing import open_destinations
from bridge_assets.settings.alerts import AlertSettings, DestinationSettings


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "alerts")


def destinations(api: SlackApi, channel: str = "#bridges", address: str = ""):
    settings = AlertSettings(
        destinations={"default": DestinationSettings(channel=channel)}, slack_api_address=address or api.url
    )
    return open_destinations(settings)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch):
    with slack_api() as server:
        monkeypatch.setenv("SLACK_TOKEN", server.token)
        yield server


def messages(count: int) -> list[Message]:
    return [Message(f"run_failed:{number}", f"{number}", f"message {number}", "default") for number in range(count)]


def error(code: str, status: int = 200, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    return status, headers or {}, json.dumps({"ok": False, "error": code})


def test_a_message_arrives_with_text_for_notifications_and_blocks(api, outbox):
    link = ("Run", "https://dagster.example.org/runs/1")
    outbox.add(
        [Message("a", "a", "Run failed.\n5 < 6\nRun: https://dagster.example.org/runs/1", "default", links=(link,))]
    )
    assert outbox.flush(destinations(api)).delivered == 1
    [post] = api.posts
    assert post["channel"] == "#bridges"
    assert post["text"].startswith("Run failed.\n5 &lt; 6")
    assert [block["text"]["text"] for block in post["blocks"]] == [
        "*Run failed.*",
        "5 &lt; 6",
        "<https://dagster.example.org/runs/1|Run>",
    ]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("token_revoked", "install the app again, and put its new token into SLACK_TOKEN"),
        ("invalid_auth", "put a valid token into SLACK_TOKEN"),
        ("is_archived", "unarchive the channel"),
        ("not_in_channel", "invite the app"),
        ("missing_scope", "chat:write"),
        ("some_new_error", "check SLACK_TOKEN and the channel"),
    ],
)
def test_a_rejected_token_or_channel_holds_everything_until_a_person_acts(api, outbox, code, says):
    outbox.add(messages(3))
    api.queued_responses = [error(code)]
    flush = outbox.flush(destinations(api))
    assert (flush.delivered, flush.waiting, api.request_count) == (0, 3, 1)
    assert f"rejected the message to #bridges with {code}" in flush.problems[0]
    assert says in flush.problems[0]
    outbox.flush(destinations(api))
    assert api.texts == ["message 0", "message 1", "message 2"]


def test_a_revoked_token_is_replaced_without_loss_or_repetition(api, outbox, monkeypatch):
    outbox.add(messages(2))
    monkeypatch.setenv("SLACK_TOKEN", "xoxb-revoked")
    assert "invalid_auth" in outbox.flush(destinations(api)).problems[0]
    monkeypatch.setenv("SLACK_TOKEN", api.token)
    assert outbox.flush(destinations(api)).delivered == 2
    assert api.texts == ["message 0", "message 1"]


def test_a_message_that_slack_does_not_accept_does_not_stop_the_others(api, outbox):
    outbox.add(messages(2))
    api.queued_responses = [error("msg_blocks_too_long")]
    flush = outbox.flush(destinations(api))
    assert (flush.delivered, flush.waiting, api.texts) == (1, 0, ["message 1"])
    assert len(list(outbox.rejected.iterdir())) == 1


@pytest.mark.parametrize("status", [429, 200])
def test_retry_after_is_kept(api, outbox, status):
    outbox.add(messages(1))
    api.queued_responses = [error("ratelimited", status, {"Retry-After": "40"})]
    assert "ratelimited" in outbox.flush(destinations(api)).problems[0]
    assert "Slack asked to wait" in outbox.flush(destinations(api)).problems[0]
    assert api.request_count == 1


@pytest.mark.parametrize(
    "answer", [(503, {}, "<html>xoxb-valid</html>"), (200, {}, "<html>a proxy</html>"), (500, {}, "")]
)
def test_an_answer_that_is_not_slacks_is_no_delivery_and_has_no_note(api, outbox, answer):
    outbox.add(messages(1))
    api.queued_responses = [answer]
    problem = outbox.flush(destinations(api)).problems[0]
    assert "xoxb" not in problem
    assert "html" not in problem
    outbox.flush(destinations(api))
    assert api.texts == ["message 0"]


def test_an_answer_that_repeats_the_token_is_not_shown(api, outbox):
    outbox.add(messages(1))
    api.queued_responses = [error("xoxb-valid")]
    assert "xoxb" not in outbox.flush(destinations(api)).problems[0]


@pytest.mark.parametrize("code", ["fatal_error", "internal_error"])
def test_an_error_after_which_slack_may_have_the_message_is_repeated_with_the_note(api, outbox, code):
    outbox.add(messages(1))
    api.queued_responses = [error(code)]
    outbox.flush(destinations(api))
    outbox.flush(destinations(api))
    assert api.texts[0].startswith("This may be a repetition: ")


def test_no_answer_is_one_request_and_then_a_repetition_with_the_note(api, outbox):
    outbox.add(messages(1))
    opened = destinations(api)
    channel = opened["default"]
    assert isinstance(channel, Channel)
    channel.client.timeout = 1
    api.on_message = lambda: time.sleep(2)
    flush = outbox.flush(opened)
    assert "may have the message" in flush.problems[0]
    assert api.request_count == 1
    api.on_message = lambda: None
    time.sleep(2)
    outbox.flush(destinations(api))
    assert len(api.posts) == 2
    assert api.texts[1].startswith("This may be a repetition: ")


def test_a_connection_that_is_refused_is_no_delivery_for_certain(api, outbox):
    outbox.add(messages(1))
    assert "cannot be reached" in outbox.flush(destinations(api, address="http://127.0.0.1:9/api/")).problems[0]
    outbox.flush(destinations(api))
    assert api.texts == ["message 0"]


def test_the_token_is_in_no_file_log_or_representation(api, outbox, caplog):
    caplog.set_level(logging.DEBUG)
    outbox.add(messages(2))
    api.queued_responses = [error("fatal_error"), error("not_in_channel")]
    opened = destinations(api)
    for _ in range(3):
        outbox.flush(opened)
    assert "xoxb" not in caplog.text + repr(opened)
    assert not [path for path in outbox.folder.rglob("*.json") if "xoxb" in path.read_text()]
