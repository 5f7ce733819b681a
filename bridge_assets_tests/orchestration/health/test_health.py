"""What is stuck, dead, missed or full on a real instance is found, with what to do; what is healthy is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from support.alerting.instigators import Instigator
from support.alerting.slack_receiver import slack_receiver

from bridge_assets.orchestration.alerts.sensor import send_alerts
from bridge_assets.orchestration.assets.operations import HEALTH_CHECKS, instance_health
from bridge_assets.orchestration.health.daemons import dead_daemons, missed_ticks
from bridge_assets.orchestration.health.disks import full_disks, large_storage, sqlite_folder
from bridge_assets.orchestration.health.runs import stuck_runs
from bridge_assets.orchestration.resources import Platform
from bridge_assets.settings.operations import HealthSettings

HOUR, SETTINGS = 3600.0, HealthSettings()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(folder)) as on_disk:
        yield on_disk


@dg.op
def nothing() -> None:
    pass


@dg.job
def weekly() -> None:
    nothing()


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    run = instance.create_run_for_job(weekly)
    instance.report_engine_event("a sign of life", run)
    instance.handle_new_event(
        dg.EventLogEntry(
            error_info=None,
            user_message="",
            level=10,
            run_id=run.run_id,
            timestamp=time.time(),
            job_name="weekly",
            dagster_event=dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "weekly"),
        )
    )
    return run


def test_a_run_without_events_is_stuck_and_a_young_one_is_not(instance):
    run, now = started(instance), time.time()
    assert stuck_runs(instance, SETTINGS, now).problems == []
    found = stuck_runs(instance, SETTINGS, now + 2.1 * HOUR)
    assert found.problems == [f"run {run.run_id[:8]} of weekly has had no event for 126 minutes"]
    assert found.numbers == {"running": 1, "waiting": 0, "stuck": 1}
    assert "What to do: look at the run's log in the UI" in found.description
    assert stuck_runs(instance, SETTINGS, now + 2.1 * HOUR, run.run_id).problems == []


def test_a_run_that_takes_much_longer_than_usual_is_stuck(instance):
    for _ in range(3):
        weekly.execute_in_process(instance=instance)
    started(instance)
    now = time.time()
    assert stuck_runs(instance, SETTINGS, now + 1700).problems == []
    [problem] = stuck_runs(instance, SETTINGS, now + 1900).problems
    assert "of weekly has been running for 32 minutes, usually it takes 0 minutes" in problem
    assert stuck_runs(instance, HealthSettings(slow_minutes=60), now + 1900).problems == []


def test_a_run_that_waits_in_the_queue_is_stuck(instance):
    instance.create_run_for_job(weekly)
    assert stuck_runs(instance, SETTINGS, time.time() + 59 * 60).problems == []
    [problem] = stuck_runs(instance, SETTINGS, time.time() + 61 * 60).problems
    assert "has waited for 61 minutes to start" in problem


def test_a_clock_that_was_set_back_makes_nothing_stuck(instance):
    started(instance)
    assert stuck_runs(instance, SETTINGS, time.time() - 30 * 86400).problems == []


def heartbeats(instance: dg.DagsterInstance, at: float, errors: list[SerializableErrorInfo] | None = None) -> None:
    for daemon in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(at, daemon, "host", errors if daemon == "SENSOR" else None))


def test_daemons_that_are_silent_or_report_an_error_are_told(instance):
    now = time.time()
    assert "SCHEDULER has never reported" in dead_daemons(instance, SETTINGS, now).problems
    heartbeats(instance, now)
    assert dead_daemons(instance, SETTINGS, now + 60).problems == []
    found = dead_daemons(instance, SETTINGS, now + 1900)
    assert "SCHEDULER reported 32 minutes ago" in found.problems
    assert "restart dagster-daemon" in found.description
    heartbeats(instance, now, [SerializableErrorInfo("database is locked\n", [], "OperationalError")])
    assert dead_daemons(instance, SETTINGS, now).problems == ["SENSOR reports an error: database is locked"]


def utc(name: str, kind: InstigatorType) -> str:
    return "UTC"


def test_a_schedule_that_missed_its_tick_is_told_until_it_has_one(instance):
    schedule = Instigator(instance, "weekly_scoring", InstigatorType.SCHEDULE)  # Mondays at 05:00
    schedule.tick(TickStatus.SUCCESS)  # Monday 21 September 2026, 14:13
    monday = 1_790_571_600.0  # 28 September 2026, 05:00
    assert missed_ticks(instance, SETTINGS, monday + 300, utc).problems == []
    [problem] = missed_ticks(instance, SETTINGS, monday + HOUR, utc).problems
    assert problem == ("schedule weekly_scoring: the tick of 60 minutes ago did not come; its last tick was 7 days ago")
    assert missed_ticks(instance, SETTINGS, monday + HOUR, lambda *_: None).problems == []
    schedule.count = int(monday - 1_790_000_000)
    schedule.tick(TickStatus.SKIPPED)
    found = missed_ticks(instance, SETTINGS, monday + HOUR, utc)
    assert (found.problems, found.numbers["sensors_and_schedules"]) == ([], 1)


def test_a_sensor_that_is_not_evaluated_is_told_and_one_that_is_off_is_not(instance):
    sensor = Instigator(instance, "alerts")
    Instigator(instance, "new_survey_file", status=InstigatorStatus.STOPPED)
    sensor.tick(TickStatus.SKIPPED)
    assert missed_ticks(instance, SETTINGS, 1_790_000_000.0 + 590, utc).problems == []
    [problem] = missed_ticks(instance, SETTINGS, 1_790_000_000.0 + 1200, utc).problems
    assert problem.startswith("sensor alerts: ")


def test_a_disk_below_the_limit_is_told_once(tmp_path):
    folders = {"home": tmp_path / "not" / "there", "dagster": tmp_path}
    assert full_disks(folders, HealthSettings(free_gb=0)).problems == []
    found = full_disks(folders, HealthSettings(free_gb=1e9))
    assert len(found.problems) == 1
    assert set(found.numbers) == {"home_free_gb", "dagster_free_gb"}
    assert "What to do: free some space" in found.description


def test_the_storage_is_measured(instance):
    weekly.execute_in_process(instance=instance)
    folder = sqlite_folder(instance)
    assert folder is not None
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert large_storage(instance, SETTINGS).numbers["storage_gb"] == pytest.approx(size / 1e9, abs=1e-3)
    [problem] = large_storage(instance, HealthSettings(storage_gb=1e-6)).problems
    assert "the limit is 1e-06 GB" in problem


def test_in_memory_nothing_is_measured_and_nothing_breaks():
    with dg.DagsterInstance.ephemeral() as memory:
        assert large_storage(memory, SETTINGS).problems == []
        assert missed_ticks(memory, SETTINGS, time.time(), utc).problems == []


def test_the_asset_has_the_numbers_and_what_is_wrong_reaches_slack(instance, tmp_path, monkeypatch):
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BRIDGE_ASSETS_ENVIRONMENT__HEALTH__FREE_GB", "1e9")
    definitions = dg.Definitions(assets=[instance_health], resources={"platform": Platform()})

    def tick(cursor: str | None) -> str | None:
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"platform": Platform()}, definitions=definitions
        ) as context:
            send_alerts(context)
            return context.cursor

    with slack_receiver() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        cursor = tick(None)
        heartbeats(instance, time.time())
        done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
        assert done.success
        results = {each.check_name: each for each in done.get_asset_check_evaluations()}
        assert {name: each.passed for name, each in results.items()} == {
            **dict.fromkeys(HEALTH_CHECKS, True),
            "enough_disk": False,
        }
        tick(cursor)
        [text] = slack.messages
    assert text.startswith("Check failed: instance_health:enough_disk.")
    assert text.count("What to do:") == 1
    assert "home_free_gb: " in text
    [event] = done.get_asset_materialization_events()
    assert event.materialization.metadata["running"].value == 0


def test_a_reading_that_fails_is_told_and_the_others_too(instance, tmp_path, monkeypatch):
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    monkeypatch.setattr(type(instance), "get_daemon_heartbeats", lambda _: 1 / 0)
    done = dg.materialize([instance_health], instance=instance, resources={"platform": Platform()})
    failed = [each for each in done.get_asset_check_evaluations() if not each.passed]
    assert [each.check_name for each in failed] == ["daemons_alive"]
    assert "ZeroDivisionError" in (failed[0].description or "")
