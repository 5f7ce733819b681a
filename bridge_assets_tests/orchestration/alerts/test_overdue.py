"""A survey year that is late and an endpoint that nobody probes are told once, and that they have come."""

from __future__ import annotations

import datetime

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus
from support.alerting.instigators import Instigator

from bridge_assets.data.lake import Lake
from bridge_assets.orchestration.alerts import sensor as sensor_module
from bridge_assets.settings import DataSettings

pytestmark = pytest.mark.parametrize("instance", ["sqlite"], indirect=True)


@pytest.fixture
def clock(monkeypatch):
    """Sets what the sensor takes for now."""

    def to(moment: float | str) -> float:
        now = moment if isinstance(moment, float) else datetime.datetime.fromisoformat(f"{moment}T12:00Z").timestamp()
        monkeypatch.setattr(sensor_module.time, "time", lambda: now)
        return now

    return to


@pytest.fixture
def lake(watched, monkeypatch, tmp_path) -> Lake:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(tmp_path))
    lake = Lake(DataSettings.load().lake)
    for year in (2023, 2024):
        lake.write_provenance("nbi_files", year, {})
    return lake


def test_a_late_year_is_told_once_and_its_arrival(watched, slack, lake, clock):
    clock("2026-06-30")
    watched.tick()
    assert slack.messages == []
    for day in ("2026-07-01", "2026-07-02", "2026-12-31"):
        clock(day)
        watched.tick()
    [text] = slack.messages
    assert "Survey year 2025 is late: the latest is 2024." in text
    assert "16 days after 15 June 2026, nbi_files has 2 survey years" in text
    assert "What to do: look at https://www.fhwa.dot.gov/bridge/nbi/ascii.cfm" in text
    lake.write_provenance("nbi_files", 2025, {})
    watched.tick()
    watched.tick()
    assert len(slack.messages) == 2
    assert "Survey year 2025 has arrived." in slack.messages[1]
    clock("2027-07-02")
    watched.tick()
    assert "Survey year 2026 is late: the latest is 2025." in slack.messages[2]


def test_the_days_are_a_setting(watched, slack, lake, clock, monkeypatch):
    monkeypatch.setenv("BRIDGE_ASSETS_ENVIRONMENT__ALERTS__LATE_YEAR_DAYS", "60")
    clock("2026-08-13")
    watched.tick()
    assert slack.messages == []
    clock("2026-08-14")
    watched.tick()
    assert len(slack.messages) == 1


def test_a_kill_before_the_cursor_is_saved_repeats_nothing(watched, slack, lake, clock):
    for day in ("2026-07-01", "2026-07-02"):
        clock(day)
        watched.tick(save_cursor=False)
    watched.tick()
    assert len(slack.messages) == 1


def test_a_clock_that_jumps_ahead_and_back_hides_no_later_lateness(watched, slack, lake, clock):
    for day in ("2026-03-01", "2031-03-01", "2026-03-01", "2026-07-01"):
        clock(day)
        watched.tick()
    assert [text.rpartition("Survey year ")[2][:12] for text in slack.messages] == ["2029 is late", "2025 is late"]
    lake.write_provenance("nbi_files", 2028, {})
    clock("2030-07-01")
    watched.tick()
    assert "Survey year 2029 is late" in slack.messages[-1]


@pytest.mark.parametrize("case", ["sample", "nothing loaded", "only old years wanted"])
def test_no_year_is_late_where_none_is_expected(watched, slack, lake, clock, monkeypatch, case, tmp_path):
    if case == "sample":
        monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", "sample")
    elif case == "nothing loaded":
        monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "other"))
    else:
        monkeypatch.setenv("BRIDGE_ASSETS_DATA__SURVEY_YEARS__LAST", "2024")
    clock("2026-12-01")
    watched.tick()
    assert slack.messages == []


@pytest.fixture
def endpoint(watched, tmp_path):
    """The definitions of a deployed local endpoint whose canary says what `watched.state` says."""
    (tmp_path / "home" / "endpoints" / "local" / "current").mkdir(parents=True)

    @dg.asset
    def local_endpoint() -> None:
        pass

    @dg.asset_check(asset=local_endpoint)
    def canary_passes() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=watched.state.get("canary", True))

    watched.definitions = dg.Definitions(
        assets=[local_endpoint], asset_checks=[canary_passes], jobs=[dg.define_asset_job("all")]
    )
    return watched


def test_an_endpoint_that_nobody_probes_is_told_once_and_that_it_is_probed_again(endpoint, slack, clock):
    Instigator(endpoint.instance, "smoke_checks", InstigatorType.SCHEDULE)
    endpoint.run()
    now = datetime.datetime.now(datetime.UTC).timestamp()
    for hours, told in ((2.9, 0), (3.1, 1), (4.0, 1)):
        clock(now + hours * 3600)
        endpoint.tick()
        assert len(slack.messages) == told
    assert "Not probed for 3 hours: local_endpoint." in slack.messages[0]
    assert "The last result is from 20" in slack.messages[0]
    assert "What to do: see under Automation why smoke_checks skips or fails" in slack.messages[0]
    cursor = endpoint.cursor.replace(str(now + 3.1 * 3600), str(now - 60))  # as if it had been reported a minute ago
    assert cursor != endpoint.cursor
    endpoint.cursor = cursor
    clock(now + 1)  # the run has the time of this machine
    endpoint.run()
    endpoint.tick()
    endpoint.tick()
    assert "Probed again: local_endpoint." in slack.messages[1]
    assert len(slack.messages) == 2


def test_a_schedule_that_is_off_expects_no_probe(endpoint, slack, clock):
    Instigator(endpoint.instance, "smoke_checks", InstigatorType.SCHEDULE, InstigatorStatus.STOPPED)
    endpoint.run()
    clock(datetime.datetime.now(datetime.UTC).timestamp() + 1e6)
    endpoint.tick()
    assert slack.messages == []


def test_an_endpoint_that_does_not_answer_its_probe_is_told_with_the_way_back(endpoint, slack):
    endpoint.state["canary"] = False
    endpoint.run()
    endpoint.tick()
    [text] = slack.messages
    assert text.startswith("Check failed: local_endpoint:canary_passes.")
    assert "rollback_local returns to the last healthy one." in text


def test_a_lake_that_cannot_be_read_does_not_stop_the_other_alerts(watched, failing, slack, lake, monkeypatch):
    monkeypatch.setattr(Lake, "years_with_provenance", lambda *_: (_ for _ in ()).throw(PermissionError("no")))
    failing("rows")
    assert "1 alerts delivered" in watched.tick()


def test_what_is_late_before_a_destination_is_set_is_told_then(watched, slack, lake, clock, monkeypatch):
    clock("2026-07-01")
    monkeypatch.delenv("SLACK_WEBHOOK_URL")
    assert watched.tick() == "Nothing is sent: SLACK_WEBHOOK_URL is not set."
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
    watched.tick()
    assert len(slack.messages) == 1
