"""Nothing is lost while Slack is down, the order is kept, and a message arrives once, also over a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.alerting.slack_receiver import SlackReceiver, slack_receiver

from bridge_assets.alerting import outbox as outbox_module
from bridge_assets.alerting import slack as slack_module
from bridge_assets.alerting.message import Message
from bridge_assets.alerting.outbox import Outbox
from bridge_assets.errors import StorageError

VARIABLE = "SLACK_WEBHOOK_URL"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "alerts")


def numbered(count: int, start: int = 0) -> list[Message]:
    return [
        Message(f"check_failed:run:asset:{number}", f"check {number} failed", f"message {number}")
        for number in range(start, start + count)
    ]


def files(outbox: Outbox) -> list[Path]:
    return [path for path in outbox.folder.rglob("*") if path.is_file()]


def test_messages_are_sent_in_order_and_once(outbox):
    with slack_receiver() as slack:
        assert outbox.add(numbered(5)) == 5
        assert outbox.add(numbered(5)) == 0
        flush = outbox.flush({VARIABLE: slack.url})
        assert (flush.delivered, flush.waiting, flush.problems) == (5, 0, ())
        assert outbox.add(numbered(5)) == 0
        assert outbox.flush({VARIABLE: slack.url}).delivered == 0
        assert slack.messages == [f"message {number}" for number in range(5)]


def test_an_outage_loses_nothing_and_keeps_the_order(outbox):
    """One attempt a flush while Slack is down, whatever it answers."""
    with slack_receiver() as slack:
        answers = [(500, {}, ""), (503, {}, ""), (404, {}, "no_service"), (403, {}, "invalid_token")]
        for number, answer in enumerate(answers):
            slack.queued_responses = [answer] * 50
            outbox.add(numbered(1, number))
            before = slack.request_count
            flush = outbox.flush({VARIABLE: slack.url})
            assert (flush.delivered, flush.waiting, slack.request_count - before) == (0, number + 1, 1)
            assert str(answer[0]) in flush.problems[0]
        outbox.flush({VARIABLE: "http://127.0.0.1:9/services/secret"})
        slack.queued_responses = []
        assert outbox.flush({VARIABLE: slack.url}).delivered == 4
        assert slack.messages == [f"message {number}" for number in range(4)]


def test_a_late_message_says_when_it_was_written(outbox):
    with slack_receiver() as slack:
        outbox.add([Message("a", "a", "an old alert", written=1_700_000_000.0)])
        outbox.flush({VARIABLE: slack.url})
        assert slack.messages == ["Delivered late: this is from 2023-11-14 22:13 UTC.\nan old alert"]


def test_retry_after_is_kept_over_processes_and_not_after_the_clock_was_set_back(outbox, monkeypatch):
    with slack_receiver() as slack:
        slack.queued_responses = [(429, {"Retry-After": "40"}, "rate_limited")]
        outbox.add(numbered(2))
        assert "429" in outbox.flush({VARIABLE: slack.url}).problems[0]
        again = Outbox(outbox.folder)
        assert "Slack asked to wait" in again.flush({VARIABLE: slack.url}).problems[0]
        assert slack.request_count == 1
        now = time.time()
        monkeypatch.setattr(outbox_module.time, "time", lambda: now - 1e6)
        assert again.flush({VARIABLE: slack.url}).delivered == 2


def test_a_message_that_slack_does_not_accept_does_not_stop_the_others(outbox):
    with slack_receiver() as slack:
        outbox.add(numbered(3))
        slack.queued_responses = [(200, {}, "ok"), (400, {}, "invalid_payload")]
        flush = outbox.flush({VARIABLE: slack.url})
        assert (flush.delivered, flush.waiting) == (2, 0)
        assert "invalid_payload" in flush.problems[0]
        assert slack.messages == ["message 0", "message 2"]
        [rejected] = outbox.rejected.iterdir()
        assert json.loads(rejected.read_text())["text"] == "message 1"
        assert outbox.add(numbered(3)) == 0


def test_a_destination_that_is_down_does_not_stop_another(outbox):
    with slack_receiver() as up:
        outbox.add([Message("a", "a", "to nobody", "SLACK_DOWN"), Message("b", "b", "to somebody", "SLACK_UP")])
        flush = outbox.flush({"SLACK_DOWN": "http://127.0.0.1:9/secret", "SLACK_UP": up.url})
        assert up.messages == ["to somebody"]
        assert (flush.delivered, flush.waiting) == (1, 1)
        assert flush.problems[0].startswith("SLACK_DOWN: ")


def test_a_thousand_alerts_become_one_digest(outbox):
    with slack_receiver() as slack:
        outbox.add([Message("run_failed:r", "the run failed", "x"), *numbered(1000)])
        flush = outbox.flush({VARIABLE: slack.url})
        assert (flush.delivered, flush.waiting, slack.request_count) == (1001, 0, 1)
        [text] = slack.messages
        assert len(text) <= 3000
        assert text.startswith("1,001 alerts since ")
        assert "1,000 check failed, 1 run failed" in text
        assert "- the run failed\n- check 0 failed\n- check 1 failed" in text
        listed = text.count("\n- ")
        assert f"... and {1001 - listed:,} more" in text
        assert outbox.add(numbered(1000)) == 0
        outbox.add(numbered(1, 5000))
        outbox.flush({VARIABLE: slack.url})
        assert slack.messages[1:] == ["message 5000"]


def test_a_digest_that_slack_did_not_take_grows_until_it_does(outbox):
    with slack_receiver() as slack:
        outbox.add(numbered(20))
        slack.queued_responses = [(503, {}, ""), (503, {}, "")]
        for _ in range(2):
            assert outbox.flush({VARIABLE: slack.url}).delivered == 0
        outbox.add(numbered(5, 20))
        assert outbox.flush({VARIABLE: slack.url}).delivered == 25
        [text] = slack.messages
        assert text.startswith("25 alerts")
        assert "- check 24 failed" in text


def test_what_waits_and_what_is_remembered_is_bounded(outbox, monkeypatch):
    monkeypatch.setattr(outbox_module, "MAX_PENDING", 30)
    monkeypatch.setattr(outbox_module, "MAX_DELIVERED", 10)
    with slack_receiver() as slack:
        assert outbox.add(numbered(50)) == 30
        assert outbox.add(numbered(5, 50)) == 0
        assert outbox.flush({VARIABLE: slack.url}).waiting == 0
        assert slack.messages[0].startswith("55 alerts")
        assert "25 of the alerts are counted but not kept" in slack.messages[0]
        assert len(list(outbox.delivered.iterdir())) == 10
        outbox.add(numbered(1, 99))
        outbox.flush({VARIABLE: slack.url})
        assert slack.messages[1:] == ["message 99"]


def test_the_address_is_not_on_disk(outbox):
    with slack_receiver() as slack:
        slack.queued_responses = [(429, {"Retry-After": "1"}, "x")]
        outbox.add(numbered(2))
        outbox.flush({VARIABLE: slack.url})
    assert not [path for path in files(outbox) if "secret" in path.read_text()]


def test_a_disk_that_cannot_be_written_is_an_error_and_adding_again_completes(outbox, monkeypatch):
    write = outbox_module.write_json

    def full_after_two(value: object, path: Path) -> Path:
        if len(list(path.parent.glob("*.json"))) >= 2:
            raise StorageError("disk full")
        return write(value, path)

    monkeypatch.setattr(outbox_module, "write_json", full_after_two)
    with pytest.raises(StorageError):
        outbox.add(numbered(4))
    monkeypatch.undo()
    assert outbox.add(numbered(4)) == 2
    with slack_receiver() as slack:
        outbox.flush({VARIABLE: slack.url})
        assert slack.messages == [f"message {number}" for number in range(4)]


def test_a_name_that_is_no_utf8_is_sent(outbox):
    with slack_receiver() as slack:
        assert outbox.add([Message("file:\udcff", "\udcff", "the file \udcff.txt")]) == 1
        assert outbox.flush({VARIABLE: slack.url}).delivered == 1
        assert slack.messages == ["the file ?.txt"]


def test_two_processes_send_a_message_once(outbox):
    with slack_receiver() as slack:
        outbox.add(numbered(8))
        slack.on_message = lambda: time.sleep(0.05)
        threads = [
            threading.Thread(target=Outbox(outbox.folder).flush, args=({VARIABLE: slack.url},)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert slack.messages == [f"message {number}" for number in range(8)]


_FLUSH = "import sys; from pathlib import Path; from bridge_assets.alerting.outbox import Outbox; " + (
    f"Outbox(Path(sys.argv[1])).flush({{'{VARIABLE}': sys.argv[2]}})"
)


def killed_while_sending(outbox: Outbox, slack: SlackReceiver) -> None:
    """A process that is killed while Slack has the third message and has not answered."""
    process = subprocess.Popen([sys.executable, "-c", _FLUSH, str(outbox.folder), slack.url])

    def kill() -> None:
        if slack.request_count == 3:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    slack.on_message = kill
    process.wait()
    deadline = time.monotonic() + 30
    while len(slack.messages) < 3 and time.monotonic() < deadline:  # the receiver's thread has yet to note it
        time.sleep(0.01)
    slack.on_message = lambda: None


def test_a_kill_between_sending_and_marking_repeats_at_most_that_message_and_says_so(outbox):
    with slack_receiver() as slack:
        outbox.add(numbered(5))
        killed_while_sending(outbox, slack)
        outbox.flush({VARIABLE: slack.url})
        assert slack.messages[:3] == ["message 0", "message 1", "message 2"]
        assert slack.messages[3].startswith("This may be a repetition: a request at ")
        assert slack.messages[3].endswith("message 2")
        assert slack.messages[4:] == ["message 3", "message 4"]


def test_an_answer_that_never_comes_is_repeated_with_the_note(outbox, monkeypatch):
    monkeypatch.setattr(slack_module, "_TIMEOUT_SECONDS", 0.3)
    with slack_receiver() as slack:
        slack.on_message = lambda: time.sleep(1.0)
        outbox.add(numbered(2))
        assert "may have the message" in outbox.flush({VARIABLE: slack.url}).problems[0]
        slack.on_message = lambda: None
        time.sleep(1.0)
        outbox.flush({VARIABLE: slack.url})
        assert [text.rpartition("\n")[2] for text in slack.messages] == ["message 0", "message 0", "message 1"]
        assert "may be a repetition" in slack.messages[1]


@pytest.mark.parametrize("stop_at", range(1, 6))
def test_a_kill_while_a_digest_is_finished_sends_no_second_one(outbox, monkeypatch, stop_at):
    """Stopped before the `stop_at`-th move of a member."""
    move, moved = outbox_module._move, []

    def stopping(path: Path, folder: Path) -> None:
        if len(moved) == stop_at - 1:
            raise KeyboardInterrupt
        moved.append(path)
        move(path, folder)

    with slack_receiver() as slack:
        outbox.add(numbered(12))
        monkeypatch.setattr(outbox_module, "_move", stopping)
        with pytest.raises(KeyboardInterrupt):
            outbox.flush({VARIABLE: slack.url})
        monkeypatch.undo()
        outbox.flush({VARIABLE: slack.url})
        assert len(slack.messages) == 1
        assert outbox.flush({VARIABLE: slack.url}).waiting == 0


def test_a_flush_ends_in_time(outbox, monkeypatch):
    clock: Callable[[], float] = time.monotonic
    with slack_receiver() as slack:
        outbox.add(numbered(4))
        slack.on_message = lambda: monkeypatch.setattr(outbox_module.time, "monotonic", lambda: clock() + 100)
        flush = outbox.flush({VARIABLE: slack.url})
        assert (flush.delivered, flush.waiting) == (1, 3)
