"""The watch closes the gate for models that were trained before an alarm, until it ends or is acknowledged."""

from collections.abc import Iterator

import dagster as dg
import pytest

from bridge_assets.deployment.gate.signature import KEY_VARIABLE
from bridge_assets.orchestration.checks.results import check_result
from bridge_assets.orchestration.gate import alarms
from bridge_assets.orchestration.gate.alarms import acknowledgement, alarm_objections, open_alarms, trained_at
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.orchestration.jobs.acknowledge import acknowledge_alarm
from bridge_assets.orchestration.resources import Platform

KEY, OTHER_KEY = "0123456789abcdef" * 4, "fedcba9876543210" * 4
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
WATCHED = ("realised_quality", "as_expected")
REASON = "the district recoded its decks"


@pytest.fixture
def instance(monkeypatch, tmp_path) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def train(instance: dg.DagsterInstance, version: str) -> None:
    @dg.asset
    def bridge_model() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"model_version": version})

    assert dg.materialize([bridge_model], instance=instance).success


def evaluate(
    instance: dg.DagsterInstance, *failed: str, version: str = "old", severity: dg.AssetCheckSeverity = ERROR
) -> None:
    """A run of the check about two survey years, of which these fail."""

    @dg.asset_check(asset=WATCHED[0], name=WATCHED[1])
    def check(context: dg.AssetCheckExecutionContext):
        judged = Judged({"2018": version, "2019": version}, failed_years=failed if severity is ERROR else ())
        problems = [f"{year}: AUC 0.51, expected 0.74" for year in failed]
        return check_result(problems, "fine", judged.signed_metadata(context, not problems), severity)

    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions(asset_checks=[check], jobs=[job])
    definitions.resolve_job_def("checks").execute_in_process(instance=instance, raise_on_error=False)


def acknowledge(instance: dg.DagsterInstance, asset: str = WATCHED[0], reason: str = REASON) -> str:
    """Run the job; returns the message of a failure."""
    result = acknowledge_alarm.execute_in_process(
        instance=instance,
        resources={"platform": Platform()},
        run_config={"ops": {"acknowledge": {"config": {"asset": asset, "reason": reason}}}},
        raise_on_error=False,
    )
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    return "; ".join((each.user_failure_data and each.user_failure_data.description) or "" for each in failures)


def years(instance: dg.DagsterInstance) -> list[str]:
    return sorted(alarm.survey_year for alarm in open_alarms(instance))


def test_a_failure_closes_the_gate_for_versions_that_were_trained_before(instance) -> None:
    train(instance, "old")
    assert alarm_objections(instance, "old") == ()
    evaluate(instance, "2019")
    train(instance, "new")
    [objection] = alarm_objections(instance, "old")
    assert objection.startswith("realised_quality:as_expected fails for survey year 2019 since ")
    assert "2019: AUC 0.51, expected 0.74. This version was trained before that, on " in objection
    assert 'acknowledge it with `bridge-assets acknowledge realised_quality --reason "..."`' in objection
    assert alarm_objections(instance, "new") == ()
    assert "nobody knows" in alarm_objections(instance, "imported")[0]


def test_training_the_same_version_again_does_not_open_the_gate(instance) -> None:
    train(instance, "old")
    first = trained_at(instance, "old")
    evaluate(instance, "2019")
    train(instance, "old")
    assert trained_at(instance, "old") == first
    assert len(alarm_objections(instance, "old")) == 1


def test_a_warning_closes_nothing(instance) -> None:
    evaluate(instance, "2019", severity=WARN)
    assert years(instance) == []


def test_each_survey_year_and_model_is_an_alarm_of_its_own(instance) -> None:
    evaluate(instance, "2018", "2019")
    assert years(instance) == ["2018", "2019"]
    since = {alarm.survey_year: alarm.since for alarm in open_alarms(instance)}
    evaluate(instance, "2019")
    assert {alarm.survey_year: alarm.since for alarm in open_alarms(instance)} == {"2019": since["2019"]}
    evaluate(instance, version="another")
    assert years(instance) == ["2019"]
    evaluate(instance)
    assert years(instance) == []


def test_an_acknowledgement_opens_the_gate_until_another_year_fails(instance) -> None:
    train(instance, "old")
    evaluate(instance, "2018")
    assert acknowledge(instance) == ""
    assert alarm_objections(instance, "old") == ()
    evaluate(instance, "2018")
    assert years(instance) == []
    evaluate(instance, "2018", "2019")
    assert years(instance) == ["2019"]
    runs = instance.get_runs(dg.RunsFilter(job_name="acknowledge_alarm"))
    assert [run.tags["bridge_assets/acknowledged"] for run in runs] == [REASON]


def test_an_acknowledgement_needs_a_reason_and_an_alarm(instance) -> None:
    assert "there is nothing to acknowledge" in acknowledge(instance)
    evaluate(instance, "2018")
    assert "no check of 'bridge_model' closes the gate" in acknowledge(instance, "bridge_model")
    assert "there is nothing to acknowledge" in acknowledge(instance, "drift_report")
    assert "the reason 'ok' is too short" in acknowledge(instance, reason=" ok ")
    assert years(instance) == ["2018"]


def test_what_is_posted_to_the_web_server_ends_no_alarm(instance) -> None:
    evaluate(instance, "2018")
    for passed, failed in ((True, ()), (False, ("2019",))):
        judged = Judged({"2018": "old", "2019": "old"}, failed_years=failed)
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(WATCHED[0]), check_name=WATCHED[1], passed=passed, metadata=judged.metadata()
            )
        )
        assert "2018" in years(instance)
    posted = dg.AssetObservation(WATCHED[0], metadata=acknowledgement(*WATCHED, REASON, ""))
    instance.report_runless_asset_event(posted)
    assert "2018" in years(instance)


def test_with_a_key_only_what_is_signed_ends_an_alarm(instance, monkeypatch) -> None:
    evaluate(instance, "2018")
    evaluate(instance)
    assert years(instance) == []
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert years(instance) == ["2018"]
    evaluate(instance)
    assert years(instance) == []
    evaluate(instance, "2018")
    monkeypatch.setenv(KEY_VARIABLE, OTHER_KEY)
    assert acknowledge(instance) == ""
    assert years(instance) == []
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert years(instance) == ["2018"]
    assert acknowledge(instance) == ""
    assert years(instance) == []


def test_an_acknowledgement_cannot_be_dated_ahead(instance, monkeypatch) -> None:
    evaluate(instance, "2018")
    with monkeypatch.context() as patch:
        patch.setattr(alarms.time, "time", lambda: 4e9)
        said = acknowledgement(*WATCHED, REASON, "")

    @dg.op(out=dg.Out(dg.Nothing))
    def forge(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetObservation(WATCHED[0], metadata=said))

    @dg.job
    def forged() -> None:
        forge()

    assert forged.execute_in_process(instance=instance).success
    assert years(instance) == []
    evaluate(instance, "2018", "2019")
    assert years(instance) == ["2019"]
