"""Alerts go to the destination of their asset or owner, warnings of drift too, and wait in quiet hours."""

from __future__ import annotations

import json
import time

import dagster as dg
import pytest
from support.alerting.slack_api import slack_api

from bridge_assets.errors import SettingsError
from bridge_assets.orchestration.alerts import sensor as sensor_module
from bridge_assets.settings.environment import EnvironmentSettings

pytestmark = pytest.mark.parametrize("instance", ["memory"], indirect=True)

PREFIX = "BRIDGE_ASSETS_ENVIRONMENT__ALERTS__"


@pytest.fixture
def api(monkeypatch):
    with slack_api() as server:
        monkeypatch.setenv("SLACK_TOKEN", server.token)
        monkeypatch.setenv(f"{PREFIX}SLACK_API_ADDRESS", server.url)
        server.channels = ("#bridges", "#models", "#ops")
        yield server


def configure(monkeypatch, **values: object) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", value if isinstance(value, str) else json.dumps(value))


DESTINATIONS = {"default": {"channel": "#bridges"}, "models": {"channel": "#models"}, "ops": {"channel": "#ops"}}


def where(api) -> list[tuple[str, str]]:
    return [(post["channel"], post["text"].partition(":")[0]) for post in api.posts]


def test_by_asset_then_by_owner_then_to_the_default(watched, failing, api, monkeypatch):
    configure(
        monkeypatch,
        destinations=DESTINATIONS,
        owners={"team:bridge-models": "models"},
        assets=[{"assets": 'key:"raw_*"', "to": "ops"}, {"assets": "raw_bridges", "to": "models"}],
    )
    watched.state["error"] = ValueError("x")
    failing("rows")
    assert "2 alerts delivered, 0 waiting" in watched.tick()
    assert where(api) == [("#models", "Run failed"), ("#ops", "Check failed")]


def test_a_selection_that_cannot_be_read_is_left_out_and_the_alert_goes_out(watched, failing, api, monkeypatch):
    configure(monkeypatch, destinations=DESTINATIONS, assets=[{"assets": "no_such((", "to": "ops"}])
    failing("rows")
    watched.tick()
    assert where(api) == [("#bridges", "Check failed")]


def test_channel_and_webhook_side_by_side(watched, failing, slack, api, monkeypatch):
    configure(monkeypatch, destinations={"models": {"channel": "#models"}}, owners={"team:bridge-models": "models"})
    watched.state["error"] = ValueError("x")
    failing("rows")
    watched.tick()
    assert where(api) == [("#models", "Run failed")]
    assert [text.partition(":")[0] for text in slack.messages] == ["Check failed"]


def test_without_the_token_a_channel_falls_back_to_the_webhook(watched, failing, slack, api, monkeypatch):
    monkeypatch.delenv("SLACK_TOKEN")
    configure(monkeypatch, destinations=DESTINATIONS)
    failing("rows")
    watched.tick()
    assert len(slack.messages) == 1
    monkeypatch.delenv("SLACK_WEBHOOK_URL")
    assert watched.tick() == "Nothing is sent: SLACK_TOKEN is not set."


def test_what_waits_for_a_destination_that_was_removed_goes_to_the_default(watched, failing, api, monkeypatch):
    configure(monkeypatch, destinations=DESTINATIONS, assets=[{"assets": "raw_bridges", "to": "ops"}])
    api.channels = ("#bridges",)
    failing("rows", "schema")
    assert "not_in_channel" in watched.tick()
    configure(monkeypatch, destinations={"default": {"channel": "#bridges"}}, assets=[])
    assert "2 alerts delivered, 0 waiting" in watched.tick()
    assert where(api) == [("#bridges", "Check failed"), ("#bridges", "Check failed")]


def test_a_destination_that_does_not_exist_is_an_error_that_names_it(monkeypatch, instance):
    configure(monkeypatch, destinations=DESTINATIONS, owners={"team:bridge-data": "data"})
    with pytest.raises(SettingsError, match=r"team:bridge-data: there is no destination data in alerts.destinations"):
        EnvironmentSettings.load()


def test_warnings_are_told_of_the_assets_in_the_setting(watched, failing, slack, monkeypatch):
    failing("doubts")
    watched.tick()
    assert slack.messages == []
    configure(monkeypatch, warnings=["raw_*"])
    failing("doubts")
    watched.tick()
    failing()
    watched.tick()
    assert slack.messages[0].startswith("Check warns: raw_bridges:doubts.")
    assert "nothing was stopped" in slack.messages[0]
    assert slack.messages[1].startswith("Check passes again: raw_bridges:doubts.")


def test_a_warning_that_becomes_an_error_is_told_at_once(watched, slack, monkeypatch):
    configure(monkeypatch, warnings=["drift_report"])
    severity = dg.AssetCheckSeverity

    def evaluate(passed: bool, worst: dg.AssetCheckSeverity = severity.ERROR) -> None:
        @dg.asset(check_specs=[dg.AssetCheckSpec("predictions", asset="drift_report")])
        def drift_report() -> dg.MaterializeResult:
            return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=passed, severity=worst)])

        watched.definitions = dg.Definitions(assets=[drift_report], jobs=[dg.define_asset_job("all")])
        watched.run()
        watched.tick()

    for passed, worst in (
        (False, severity.WARN),
        (False, severity.WARN),
        (False, severity.ERROR),
        (False, severity.ERROR),
        (False, severity.WARN),
        (True, severity.WARN),
        (True, severity.WARN),
    ):
        evaluate(passed, worst)
    assert [text.partition(":")[0] for text in slack.messages] == [
        "Check warns",
        "Check failed",
        "Check warns",
        "Check passes again",
    ]


def test_drift_and_realised_quality_warn_by_default(instance):
    assert EnvironmentSettings.load().alerts.warnings == ("drift_report", "realised_quality")


def test_the_page_of_an_asset_is_linked(watched, api, monkeypatch):
    configure(monkeypatch, destinations=DESTINATIONS, ui_address="https://dagster.example.org")

    @dg.asset(check_specs=[dg.AssetCheckSpec("ks", asset="drift_report")])
    def drift_report() -> dg.MaterializeResult:
        return dg.MaterializeResult(
            metadata={"page": dg.MetadataValue.url("http://127.0.0.1:3001/drift.html")},
            check_results=[dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)],
        )

    watched.definitions = dg.Definitions(assets=[drift_report], jobs=[dg.define_asset_job("all")])
    run_id = watched.run().run_id
    watched.tick()
    [post] = api.posts
    assert "Page: http://127.0.0.1:3001/drift.html" in post["text"]
    assert post["blocks"][-1]["text"]["text"] == (
        f"<https://dagster.example.org/runs/{run_id}|Run> · "
        "<https://dagster.example.org/assets/drift_report?view=checks&amp;checkDetail=ks|Check> · "
        "<http://127.0.0.1:3001/drift.html|Page>"
    )


def test_in_quiet_hours_only_the_endpoint_is_told_and_the_rest_in_one_digest(watched, failing, slack, monkeypatch):
    configure(monkeypatch, quiet_hours={"start": "20:00", "end": "06:00", "urgent_assets": "bridge_model"})
    now = time.time()
    night, morning = now - now % 86400 + 2 * 3600, now - now % 86400 + 7 * 3600
    monkeypatch.setattr(sensor_module.time, "time", lambda: night)

    @dg.asset(check_specs=[dg.AssetCheckSpec("canary", asset="bridge_model")])
    def bridge_model() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=watched.state.get("canary", False))])

    failing("rows", "schema")
    watched.definitions = dg.Definitions(assets=[bridge_model], jobs=[dg.define_asset_job("all")])
    watched.run()
    assert watched.tick() == "1 alerts delivered, 2 waiting. quiet hours"
    watched.state["canary"] = True
    watched.run()
    assert watched.tick() == "1 alerts delivered, 2 waiting. quiet hours"
    assert [text.partition(".")[0] for text in slack.messages] == [
        "Check failed: bridge_model:canary",
        "Check passes again: bridge_model:canary",
    ]
    monkeypatch.setattr(sensor_module.time, "time", lambda: morning)
    assert "2 alerts delivered, 0 waiting" in watched.tick()
    assert "in one message (quiet hours): 2 check failed." in slack.messages[2]
    watched.tick()
    assert len(slack.messages) == 3
