"""Slack is down for an hour, the process is killed, the clock jumps: each alert arrives, in order, and once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.alerting.slack_api import slack_api
from support.alerting.slack_receiver import SlackReceiver

from bridge_assets.alerting import message as message_module
from bridge_assets.alerting import outbox as outbox_module
from bridge_assets.orchestration.alerts import events as events_module
from bridge_assets.orchestration.alerts import sensor as sensor_module


@pytest.fixture
def move_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves what sensor, outbox and messages take for now, by seconds from the real time."""
    real = time.time

    def move(seconds: float) -> None:
        for module in (sensor_module, outbox_module, message_module):
            monkeypatch.setattr(module.time, "time", lambda: real() + seconds)

    return move


def headline(text: str) -> str:
    """The first line that is not the note of a message that comes late."""
    return next(line for line in text.split("\n") if not line.startswith("Delivered late"))


@pytest.mark.parametrize("instance", ["memory"], indirect=True)
def test_slack_down_for_an_hour_loses_nothing_repeats_nothing_and_keeps_the_order(watched, failing, slack, move_clock):
    outage = [(500, {}, "a proxy"), (503, {}, ""), (429, {"Retry-After": "30"}, "rate_limited"), (404, {}, "no_team")]
    slack.queued_responses = outage * 40
    for minute in range(0, 60, 2):
        move_clock(minute * 60)
        if minute % 12 == 0:
            failing("rows")
        elif minute % 12 == 6:
            failing()
        watched.tick()
    assert slack.messages == []
    slack.queued_responses = []
    move_clock(61 * 60)
    assert "10 alerts delivered, 0 waiting" in watched.tick()
    assert all(text.startswith("Delivered late: this is from ") for text in slack.messages)
    kinds = [headline(text).partition(":")[0] for text in slack.messages]
    assert kinds == ["Check failed", "Check passes again"] * 5
    watched.tick()
    assert len(slack.messages) == 10


@pytest.mark.parametrize("instance", ["memory"], indirect=True)
def test_a_channel_that_is_throttled_and_revoked_loses_nothing(watched, failing, monkeypatch, move_clock):
    monkeypatch.setenv("BRIDGE_ASSETS_ENVIRONMENT__ALERTS__DESTINATIONS", '{"default": {"channel": "#bridges"}}')
    with slack_api() as api:
        monkeypatch.setenv("BRIDGE_ASSETS_ENVIRONMENT__ALERTS__SLACK_API_ADDRESS", api.url)
        monkeypatch.setenv("SLACK_TOKEN", "xoxb-revoked")
        failing("rows")
        assert "invalid_auth" in watched.tick()
        failing()
        monkeypatch.setenv("SLACK_TOKEN", api.token)
        api.queued_responses = [(429, {"Retry-After": "120"}, '{"ok": false, "error": "ratelimited"}')]
        assert "ratelimited" in watched.tick()
        assert "Slack asked to wait" in watched.tick()
        move_clock(121)
        assert "2 alerts delivered, 0 waiting" in watched.tick()
        assert [text.partition(":")[0] for text in api.texts] == ["Check failed", "Check passes again"]


@pytest.mark.parametrize("instance", ["memory"], indirect=True)
@pytest.mark.parametrize("jump", [10 * 365 * 86400.0, -10 * 365 * 86400.0])
def test_a_clock_that_jumps_repeats_and_loses_nothing(watched, failing, slack, move_clock, jump):
    failing("rows")
    watched.tick()
    move_clock(jump)
    failing("rows")
    watched.tick()
    move_clock(0)
    failing("rows", "schema")
    watched.tick()
    failing()
    watched.tick()
    names = [headline(text).partition(".")[0] for text in slack.messages]
    assert [name for name in names if "rows" in name and "failed" in name] == ["Check failed: raw_bridges:rows"]
    assert sum("schema" in name for name in names) == 2
    assert sum("rows" in name and "passes again" in name for name in names) == 1


@pytest.mark.parametrize("instance", ["memory"], indirect=True)
def test_a_failure_recorded_by_a_clock_that_ran_ahead_is_told_again(watched, failing, slack):
    failing("rows")
    watched.tick()
    cursor = events_module.Cursor.parse(watched.cursor)
    assert cursor is not None
    ahead = time.time() + 30 * 86400
    cursor.failing = dict.fromkeys(cursor.failing, (ahead, ahead))
    watched.cursor = str(cursor)
    failing("rows")
    watched.tick()
    assert slack.messages[1].startswith("Check still fails: raw_bridges:rows.")


#: A tick as the daemon makes it: the cursor is saved after the evaluation. `sys.argv`: instance, cursor file, pause.
_TICK = """
import sys, time
from pathlib import Path
import dagster as dg
from bridge_assets.orchestration.alerts.sensor import send_alerts
from bridge_assets.orchestration.resources import Platform

@dg.asset
def raw_bridges(): pass

cursor = Path(sys.argv[2])
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    with dg.build_sensor_context(
        instance=instance, cursor=cursor.read_text() or None, resources={"platform": Platform()},
        definitions=dg.Definitions(assets=[raw_bridges]),
    ) as context:
        send_alerts(context)
        print("sent", flush=True)
        time.sleep(float(sys.argv[3]))
        cursor.write_text(context.cursor)
"""


def tick_process(folder: Path, cursor: Path, pause: float) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _TICK, str(folder), str(cursor), str(pause)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def finished_tick(folder: Path, cursor: Path) -> None:
    process = tick_process(folder, cursor, 0)
    assert process.communicate(timeout=60)[0].strip().endswith("sent")


@pytest.mark.parametrize("instance", ["sqlite"], indirect=True)
def test_a_sensor_that_is_killed_before_the_cursor_is_saved_sends_nothing_twice(watched, failing, slack, tmp_path):
    folder, cursor = tmp_path / "dagster", tmp_path / "cursor"
    cursor.write_text(watched.cursor or "")
    failing("rows")
    before = cursor.read_text()
    process = tick_process(folder, cursor, 60)
    assert process.stdout is not None and process.stdout.readline().strip() == "sent"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (len(slack.messages), cursor.read_text()) == (1, before)
    failing()
    finished_tick(folder, cursor)
    finished_tick(folder, cursor)
    assert [text.partition(":")[0] for text in slack.messages] == ["Check failed", "Check passes again"]


@pytest.mark.parametrize("instance", ["sqlite"], indirect=True)
def test_a_sensor_that_is_killed_while_slack_answers_repeats_one_message_with_a_note(
    watched, failing, slack: SlackReceiver, tmp_path
):
    folder, cursor = tmp_path / "dagster", tmp_path / "cursor"
    cursor.write_text(watched.cursor or "")
    failing("rows", "schema")
    process = tick_process(folder, cursor, 0)

    def kill() -> None:
        if slack.request_count == 2:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    slack.on_message = kill
    process.communicate(timeout=60)
    slack.on_message = lambda: None
    finished_tick(folder, cursor)
    first, second, again = slack.messages
    assert again.startswith("This may be a repetition: a request at ")
    assert again.partition("\n")[2] == second
    assert first != second
