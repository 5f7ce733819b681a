"""A sensor or schedule that fails itself is told once, and its recovery; `alerts` is left out."""

from __future__ import annotations

import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from support.alerting.instigators import Instigator

pytestmark = pytest.mark.parametrize("instance", ["sqlite"], indirect=True)


def test_a_sensor_is_told_after_three_failures_once_and_when_it_works_again(watched, slack):
    sensor = Instigator(watched.instance, "new_survey_file")
    sensor.tick(TickStatus.SKIPPED)
    for number in range(5):
        sensor.tick(TickStatus.FAILURE, f"the folder is gone {number}")
        watched.tick()
        assert len(slack.messages) == (number >= 2)
    [text] = slack.messages
    assert text.startswith(
        "The sensor new_survey_file fails: it requests no runs.\nSourceError: the folder is gone 2\n"
    )
    assert "What to do: " in text
    sensor.tick(TickStatus.SUCCESS)
    watched.tick()
    watched.tick()
    assert slack.messages[1].startswith("The sensor new_survey_file works again.")
    assert len(slack.messages) == 2


def test_a_schedule_is_told_at_its_first_failure_and_in_its_next_series_again(watched, slack):
    schedule = Instigator(watched.instance, "weekly_scoring", InstigatorType.SCHEDULE)
    for _ in range(2):
        schedule.tick(TickStatus.FAILURE, "x")
        watched.tick()
        schedule.tick(TickStatus.SUCCESS)
        watched.tick()
    assert [text.partition(" weekly_scoring ")[2][:5] for text in slack.messages] == ["fails", "works"] * 2


def test_a_kill_before_the_cursor_is_saved_repeats_nothing(watched, slack):
    schedule = Instigator(watched.instance, "weekly_scoring", InstigatorType.SCHEDULE)
    for _ in range(3):
        schedule.tick(TickStatus.FAILURE, "x")
        watched.tick(save_cursor=False)
    watched.tick()
    assert len(slack.messages) == 1


@pytest.mark.parametrize(("name", "status"), [
    ("alerts", InstigatorStatus.RUNNING), ("weekly_scoring", InstigatorStatus.STOPPED),
])  # fmt: skip
def test_the_sensor_itself_and_what_is_stopped_are_left_out(watched, slack, name, status):
    stopped = Instigator(watched.instance, name, InstigatorType.SCHEDULE, status)
    stopped.tick(TickStatus.FAILURE, "x")
    watched.tick()
    assert slack.messages == []


def test_a_tick_that_is_still_running_is_neither(watched, slack):
    schedule = Instigator(watched.instance, "weekly_scoring", InstigatorType.SCHEDULE)
    schedule.tick(TickStatus.FAILURE, "x")
    schedule.tick(TickStatus.STARTED)
    watched.tick()
    watched.tick()
    assert len(slack.messages) == 1
