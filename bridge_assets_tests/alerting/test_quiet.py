"""In quiet hours only what is urgent is sent; afterwards the rest is one digest."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.alerting.slack_receiver import slack_receiver

from bridge_assets.alerting.message import Message
from bridge_assets.alerting.outbox import Outbox
from bridge_assets.alerting.quiet import is_quiet
from bridge_assets.settings.alerts import QuietHours

NIGHT = QuietHours(time_zone="America/New_York", start="19:00", end="07:00", whole_days=("sat", "sun"))
NOON = QuietHours(time_zone="Asia/Kolkata", start="12:00", end="13:30")


@pytest.mark.parametrize(
    ("settings", "moment", "expected"),
    [
        (NIGHT, "2026-11-30 18:59", False),  # a Monday
        (NIGHT, "2026-11-30 19:00", True),
        (NIGHT, "2026-12-01 06:59", True),
        (NIGHT, "2026-12-01 07:00", False),
        (NIGHT, "2026-12-05 12:00", True),  # a Saturday
        (NIGHT, "2026-12-07 06:59", True),
        (NIGHT, "2026-12-07 07:00", False),
        (NIGHT, "2026-11-02 06:59", True),  # the day after the clocks were set back
        (NIGHT, "2026-11-02 07:00", False),
        (NOON, "2026-12-01 11:59", False),
        (NOON, "2026-12-01 12:00", True),
        (NOON, "2026-12-01 13:30", False),
        (QuietHours(), "2026-12-01 03:00", False),
        (QuietHours(whole_days=("tue",)), "2026-12-01 03:00", True),
    ],
)
def test_the_hours_are_those_of_the_time_zone(settings, moment, expected):
    now = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(settings.time_zone))
    assert is_quiet(settings, now.timestamp()) is expected


def message(name: str, held: bool) -> Message:
    return Message(f"check_failed:{name}", f"check {name} failed", f"message {name}", held=held)


def test_what_is_held_waits_and_what_is_urgent_goes_out(tmp_path: Path):
    outbox = Outbox(tmp_path / "alerts")
    with slack_receiver() as slack:
        outbox.add([message("a", True), message("b", False), message("c", True)])
        flush = outbox.flush({"SLACK_WEBHOOK_URL": slack.url}, quiet=True)
        assert (flush.delivered, flush.waiting, slack.messages) == (1, 2, ["message b"])
        outbox.add([message("d", False)])
        flush = outbox.flush({"SLACK_WEBHOOK_URL": slack.url})
        assert (flush.delivered, flush.waiting) == (3, 0)
        assert slack.messages[1].startswith("2 alerts since ")
        assert "in one message (quiet hours): 2 check failed.\n- check a failed\n- check c failed" in slack.messages[1]
        assert slack.messages[2] == "message d"


def test_a_single_held_message_comes_whole_and_says_why_it_is_late(tmp_path: Path):
    outbox = Outbox(tmp_path / "alerts")
    with slack_receiver() as slack:
        outbox.add([message("a", True)])
        outbox.flush({"SLACK_WEBHOOK_URL": slack.url})
        [text] = slack.messages
        assert text.startswith("Held back in quiet hours: this is from ")
        assert text.endswith("\nmessage a")


def test_many_held_and_many_fresh_are_one_digest(tmp_path: Path):
    outbox = Outbox(tmp_path / "alerts")
    with slack_receiver() as slack:
        outbox.add([message(str(number), number < 5) for number in range(20)])
        assert outbox.flush({"SLACK_WEBHOOK_URL": slack.url}).delivered == 20
        assert len(slack.messages) == 1


def test_an_urgent_message_that_was_interrupted_is_repeated_before_what_is_held(tmp_path: Path):
    outbox = Outbox(tmp_path / "alerts")
    with slack_receiver() as slack:
        outbox.add([message("a", True), message("b", False)])
        slack.queued_responses = [(503, {}, "")]
        outbox.flush({"SLACK_WEBHOOK_URL": slack.url}, quiet=True)
        outbox.add([message("c", True)])
        outbox.flush({"SLACK_WEBHOOK_URL": slack.url}, quiet=True)
        assert slack.messages == ["message b"]
