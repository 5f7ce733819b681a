"""Failed checks, failed runs and recoveries reach Slack once, from real runs on a real instance."""

from __future__ import annotations

import time

import dagster as dg
import pytest
from support.alerting.slack_receiver import slack_receiver

from bridge_assets.definitions import defs
from bridge_assets.orchestration.alerts import events as events_module
from bridge_assets.orchestration.alerts import sensor as sensor_module
from bridge_assets.orchestration.build import build_definitions


def test_a_failed_check_in_a_run_that_succeeds_is_told_once(watched, failing, slack):
    result = failing("rows", "doubts")
    assert result.success
    assert "1 alerts delivered" in watched.tick()
    watched.tick()
    [text] = slack.messages
    assert text.startswith("Check failed: raw_bridges:rows.")
    assert "5 rows &lt;b&gt;differ&lt;/b&gt;" in text
    assert "problems: 5, rows: 620,000, share: 0.125" in text
    assert "Owner: team:bridge-data" in text
    assert "What to do: correct what the check found, then materialize raw_bridges again." in text
    assert result.run_id in text
    assert "blocking" not in text
    assert "http" not in text


def test_a_blocking_check_is_one_message_and_not_also_a_failed_run(watched, failing, slack):
    assert not failing("schema").success
    watched.tick()
    [text] = slack.messages
    assert text.startswith("Check failed: raw_bridges:schema.")
    assert "what depends on the asset did not run" in text


def test_what_goes_on_failing_is_told_once_and_its_recovery(watched, failing, slack):
    for names in (["rows"], ["rows"], [], [], ["rows"]):
        failing(*names)
        watched.tick()
    assert [text.partition("\n")[0].partition(".")[0] for text in slack.messages] == [
        "Check failed: raw_bridges:rows",
        "Check passes again: raw_bridges:rows",
        "Check failed: raw_bridges:rows",
    ]
    assert "It had failed since 20" in slack.messages[1]


def test_a_check_that_goes_on_failing_is_told_again_after_a_day(watched, failing, slack, monkeypatch):
    failing("rows")
    watched.tick()
    monkeypatch.setattr(events_module, "REMIND_SECONDS", 0.0)
    failing("rows")
    watched.tick()
    assert slack.messages[1].startswith("Check still fails: raw_bridges:rows. It has failed since 20")


def test_a_failed_run_has_the_error_that_caused_it(watched, slack):
    watched.state["error"] = ValueError("record 17 has no condition")
    watched.state["error"].__cause__ = KeyError("DECK_COND_058")
    result = watched.run()
    watched.tick()
    watched.tick()
    [text] = slack.messages
    assert text.startswith("Run failed: all in bridge_model.")
    assert "ValueError: record 17 has no condition" in text
    assert "caused by KeyError: 'DECK_COND_058'" in text
    assert "DagsterExecutionStepExecutionError" not in text
    assert "Owner: team:bridge-models" in text
    assert "What to do: " in text
    assert result.run_id in text


def test_a_failure_with_a_remedy_is_told_in_its_own_words(watched, slack):
    watched.state["error"] = dg.Failure("The disk is full. What to do: free some space.", allow_retries=False)
    watched.run()
    watched.tick()
    [text] = slack.messages
    assert "The disk is full. What to do: free some space." in text
    assert text.count("What to do:") == 1


def test_a_failed_check_and_another_error_in_one_run_are_two_messages(watched, failing, slack):
    watched.state["error"] = ValueError("x")
    failing("rows")
    watched.tick()
    assert [text.partition(":")[0] for text in slack.messages] == ["Check failed", "Run failed"]


def test_a_canceled_run_is_no_failure_but_its_checks_are_told(watched, slack):
    run = watched.instance.create_run_for_job(watched.definitions.resolve_job_def("all"))
    watched.instance.report_run_canceled(run)
    watched.tick()
    assert slack.messages == []


def test_a_run_whose_machine_died_has_dagsters_message(watched, slack):
    run = watched.instance.create_run_for_job(
        watched.definitions.resolve_job_def("all"), tags={"dagster/max_retries": "0"}
    )
    watched.instance.report_run_failed(run, "the machine was shut down")
    watched.tick()
    [text] = slack.messages
    assert text.startswith("Run failed: all.")
    assert "the machine was shut down" in text


@pytest.mark.parametrize("instance", ["sqlite"], indirect=True)
def test_a_failure_is_told_after_its_last_retry_only(watched, slack):
    """As the daemon makes retries: a run with the parent and the root of the failed one."""
    job, instance = watched.definitions.resolve_job_def("all"), watched.instance
    first = instance.create_run_for_job(job, tags={"dagster/max_retries": "1"})
    instance.report_run_failed(first, "the machine was shut down")
    watched.tick()
    assert slack.messages == []
    retry = instance.create_run_for_job(
        job,
        parent_run_id=first.run_id,
        root_run_id=first.run_id,
        tags={"dagster/max_retries": "1", "dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id},
    )
    instance.report_run_failed(retry, "the machine was shut down again")
    watched.tick()
    [text] = slack.messages
    assert text.startswith("Run failed after 2 attempts: all.")
    assert "shut down again" in text


@pytest.mark.parametrize("instance", ["sqlite"], indirect=True)
def test_a_failure_waits_for_the_tag_that_says_whether_it_is_retried(watched, slack, monkeypatch):
    """Dagster writes it after the failure; a tick between the two must not tell a failure that is retried."""
    instance = watched.instance
    run = instance.create_run_for_job(watched.definitions.resolve_job_def("all"), tags={"dagster/max_retries": "0"})
    monkeypatch.setattr(type(instance), "run_retries_enabled", property(lambda _: False))
    instance.report_run_failed(run, "x")
    monkeypatch.undo()
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
    watched.tick()
    assert slack.messages == []
    now = time.time()
    monkeypatch.setattr(sensor_module.time, "time", lambda: now + 60)
    watched.tick()
    assert len(slack.messages) == 1


def test_a_check_is_told_while_its_run_goes_on(watched, slack):
    ticks = []

    @dg.asset
    def scores() -> None:
        ticks.append(watched.tick())

    @dg.asset(check_specs=[dg.AssetCheckSpec("early", asset="early_asset")])
    def early_asset() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, check_name="early")])

    watched.definitions = dg.Definitions(
        assets=[early_asset, scores.map_asset_specs(lambda spec: spec.replace_attributes(deps=["early_asset"]))],
        jobs=[dg.define_asset_job("all")],
    )
    assert watched.run().success
    assert "1 alerts delivered" in ticks[0]
    watched.tick()
    assert len(slack.messages) == 1


def test_a_partition_fails_and_recovers_by_itself(watched, slack):
    years, failed = dg.StaticPartitionsDefinition(["2018", "2019"]), {"2018"}

    @dg.asset(partitions_def=years, check_specs=[dg.AssetCheckSpec("rows", asset="yearly")])
    def yearly(context) -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=context.partition_key not in failed)])

    watched.definitions = dg.Definitions(assets=[yearly], jobs=[dg.define_asset_job("all")])
    for year in ("2018", "2019"):
        watched.run(partition_key=year)
    failed.clear()
    for year in ("2018", "2019"):
        watched.run(partition_key=year)
    watched.tick()
    assert [text.partition(".")[0] for text in slack.messages] == [
        "Check failed: yearly:rows [2018]",
        "Check passes again: yearly:rows [2018]",
    ]
    assert "materialize yearly for 2018 again" in slack.messages[0]


def test_a_kill_before_the_cursor_is_saved_repeats_nothing(watched, failing, slack):
    failing("rows")
    watched.tick(save_cursor=False)
    failing()
    watched.tick(save_cursor=False)
    watched.tick()
    assert [text.partition(":")[0] for text in slack.messages] == ["Check failed", "Check passes again"]


def test_while_slack_is_down_nothing_is_lost(watched, failing, slack):
    slack.queued_responses = [(503, {}, "")] * 3
    for names in (["rows"], [], ["rows"]):
        failing(*names)
        assert "503" in watched.tick()
    assert slack.messages == []
    assert "3 alerts delivered, 0 waiting" in watched.tick()
    assert [text.partition(":")[0] for text in slack.messages] == ["Check failed", "Check passes again", "Check failed"]


@pytest.mark.parametrize("instance", ["memory"], indirect=True)
def test_a_thousand_failed_checks_are_one_digest(watched, slack):
    @dg.asset(check_specs=[dg.AssetCheckSpec(f"check_{number}", asset="many") for number in range(1000)])
    def many():
        results = [dg.AssetCheckResult(passed=False, check_name=f"check_{number}") for number in range(1000)]
        yield dg.MaterializeResult(check_results=results)

    watched.definitions = dg.Definitions(assets=[many], jobs=[dg.define_asset_job("all")])
    watched.run()
    began = time.monotonic()
    assert "1000 alerts delivered, 0 waiting" in watched.tick()
    assert time.monotonic() - began < 40
    [text] = slack.messages
    assert text.startswith("1,000 alerts since ")
    assert len(text) <= 3000
    watched.tick()
    assert len(slack.messages) == 1


def test_links_and_owners_follow_the_settings(watched, failing, slack, monkeypatch):
    monkeypatch.setenv("BRIDGE_ASSETS_ENVIRONMENT__ALERTS__UI_ADDRESS", "https://dagster.example.org/")
    monkeypatch.setenv("BRIDGE_ASSETS_ENVIRONMENT__ALERTS__OWNERS", '{"team:bridge-data": "SLACK_DATA"}')
    with slack_receiver() as data:
        monkeypatch.setenv("SLACK_DATA", data.url)
        watched.state["error"] = ValueError("x")
        run_id = failing("rows").run_id
        assert "2 alerts delivered" in watched.tick()
        [text] = data.messages
        assert f"Run: https://dagster.example.org/runs/{run_id}" in text
        assert "https://dagster.example.org/assets/raw_bridges?view=checks&amp;checkDetail=rows" in text
        assert slack.messages[0].startswith("Run failed")
        monkeypatch.delenv("SLACK_DATA")
        failing()
        watched.tick()
        assert any(text.startswith("Check passes again") for text in slack.messages)


def test_without_a_destination_nothing_is_sent_or_kept(watched, failing, tmp_path):
    failing("rows")
    assert watched.tick() == "Nothing is sent: SLACK_WEBHOOK_URL is not set."
    assert not (tmp_path / "home" / "alerts").exists()


def test_what_failed_before_the_sensor_started_is_history(watched, failing, slack):
    failing("rows")
    watched.cursor = None
    watched.tick()
    failing()
    watched.tick()
    assert slack.messages == []


@pytest.mark.parametrize("cursor", ["", "12", "{}", '{"ended": "x"}', '{"ended": 1, "positions": [], "failing": [1]}'])
def test_a_cursor_of_another_form_begins_now(watched, failing, slack, cursor):
    failing("rows")
    watched.cursor = cursor
    watched.tick()
    assert slack.messages == []
    failing("schema")
    watched.tick()
    assert len(slack.messages) == 1


@pytest.mark.parametrize("instance", ["sqlite"], indirect=True)
def test_a_failure_after_runs_were_deleted_is_told(watched, failing, slack):
    for _ in range(3):
        failing("rows")
    watched.tick()
    for run in watched.instance.get_runs():
        watched.instance.delete_run(run.run_id)
    watched.tick()
    watched.state["error"] = ValueError("x")
    watched.run()
    watched.tick()
    assert slack.messages[-1].startswith("Run failed")


def test_more_than_one_page_of_runs_is_told_completely(watched, slack, monkeypatch):
    monkeypatch.setattr(events_module, "_MAX_ENDED", 2)
    monkeypatch.setattr(events_module, "_MAX_EVENTS", 3)
    job = watched.definitions.resolve_job_def("all")
    for number in range(7):
        run = watched.instance.create_run_for_job(job, tags={"dagster/max_retries": "0"})
        watched.instance.report_run_failed(run, f"failure {number}")
        canceled = watched.instance.create_run_for_job(job)
        watched.instance.report_run_canceled(canceled)
    for _ in range(9):
        watched.tick()
    assert [text.split("\n")[1] for text in slack.messages] == [f"failure {number}" for number in range(7)]


def test_a_full_disk_fails_the_tick_and_the_next_one_sends(watched, failing, slack, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "alerts").write_text("a file where the folder should be")
    failing("rows")
    with pytest.raises(OSError):
        watched.tick()
    (tmp_path / "home" / "alerts").unlink()
    watched.tick()
    assert len(slack.messages) == 1


def test_the_sensor_runs_only_where_a_destination_is_configured(monkeypatch):
    assert defs.resolve_sensor_def("alerts").default_status is dg.DefaultSensorStatus.STOPPED
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "http://127.0.0.1:9/services/secret")
    configured = build_definitions().resolve_sensor_def("alerts")
    assert configured.default_status is dg.DefaultSensorStatus.RUNNING
