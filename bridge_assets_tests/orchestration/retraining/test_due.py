"""When a training is due, and what the sensor says when it is not."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from bridge_assets.data.lake import Lake
from bridge_assets.errors import ModelVersionError
from bridge_assets.orchestration.gate.materialized import latest_version_of
from bridge_assets.orchestration.retraining.due import Due, NotDue, failing_watch, retraining_due
from bridge_assets.settings import DataSettings, ModelSettings
from bridge_assets.settings.retraining import RetrainingSettings
from bridge_assets.storage import write_json

DAY = 86_400.0


@pytest.fixture
def instance(monkeypatch, tmp_path) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def features(home: Path, **records: str) -> None:
    """Features of survey years, made from these records: `y2018="a"`."""
    lake = Lake(home / "lake")
    for year, digest in records.items():
        lake.write_year(pl.DataFrame({"structure_key": []}), "bridge_features", int(year[1:]), {"raw_bridges": digest})


def train(instance: dg.DagsterInstance, home: Path, version: str, **records: str) -> None:
    made_from = {"raw_bridges": {year[1:]: digest for year, digest in records.items()}}
    write_json({"version": version, "stages": {}, "made_from": made_from}, home / "models" / version / "manifest.json")

    @dg.asset
    def bridge_model() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"model_version": version})

    assert dg.materialize([bridge_model], instance=instance).success


def watch_fails(instance: dg.DagsterInstance) -> None:
    @dg.asset_check(asset="drift_report", name="features_within_limits")
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=False, severity=dg.AssetCheckSeverity.WARN, description="2018: 2 features\n drifted"
        )

    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    dg.Definitions(asset_checks=[check], jobs=[job]).resolve_job_def("checks").execute_in_process(instance=instance)


def due(instance: dg.DagsterInstance, days: float = 31, **settings: Any) -> Due | NotDue:
    """As it is judged some days from now."""
    data = DataSettings.load()
    model = ModelSettings(retraining=RetrainingSettings(**settings))
    return retraining_due(instance, Lake(data.lake), data, model, time.time() + days * DAY)


def reason(found: Due | NotDue) -> str:
    assert isinstance(found, NotDue), found
    return found.reason


def test_without_a_model_a_person_begins(instance, tmp_path) -> None:
    features(tmp_path, y2018="a")
    assert reason(due(instance)) == "No model has been trained yet: run full_pipeline first."


def test_a_survey_year_that_the_model_has_not_seen_is_a_reason(instance, tmp_path) -> None:
    features(tmp_path, y2017="a", y2018="b")
    train(instance, tmp_path, "v1", y2017="a", y2018="b")
    assert reason(due(instance)) == "Model v1 has seen every survey year that has features."
    features(tmp_path, y2018="corrected", y2019="c")
    found = due(instance)
    assert isinstance(found, Due)
    assert found.reasons == (
        "Survey years that model v1 has not seen: 2019.",
        "Survey years whose records changed since: 2018.",
    )
    assert due(instance) == found
    features(tmp_path, y2019="d")
    again = due(instance)
    assert isinstance(again, Due)
    assert again.inputs != found.inputs


def test_the_cool_down_counts_from_the_last_training(instance, tmp_path) -> None:
    features(tmp_path, y2018="a")
    train(instance, tmp_path, "v1", y2017="a")
    assert "the cool-down ends on " in reason(due(instance, days=29))
    assert isinstance(due(instance, days=31), Due)
    assert isinstance(due(instance, days=0, cool_down_days=0), Due)
    assert "the cool-down ends on " in reason(due(instance, days=-365))  # a clock that was set back


def test_a_refused_challenger_is_not_trained_again_on_the_same_records(instance, tmp_path) -> None:
    features(tmp_path, y2018="a")
    train(instance, tmp_path, "v1", y2017="a")
    train(instance, tmp_path, "v2", y2018="a")  # trained; whether it was registered makes no difference
    assert reason(due(instance)) == "Model v2 has seen every survey year that has features."


def test_drift_alone_trains_nothing_and_says_what_to_do(instance, tmp_path) -> None:
    features(tmp_path, y2018="a")
    train(instance, tmp_path, "v1", y2018="a")
    watch_fails(instance)
    said = reason(due(instance))
    assert "drift_report:features_within_limits fails: 2018: 2 features drifted." in said
    assert "Training again would give the same model: load newer survey years first." in said


def test_drift_can_be_required(instance, tmp_path) -> None:
    features(tmp_path, y2018="a")
    train(instance, tmp_path, "v1", y2017="a")
    assert "no check of the watch fails, and retraining.reasons in model_config.yaml is drift" in reason(
        due(instance, reasons=("drift",))
    )
    watch_fails(instance)
    found = due(instance, reasons=("drift",))
    assert isinstance(found, Due)
    assert found.reasons[-1] == "drift_report:features_within_limits fails: 2018: 2 features drifted."
    outcomes = due(instance, reasons=("outcomes",))
    assert isinstance(outcomes, Due)
    assert len(outcomes.reasons) == 1


def test_a_posted_pass_hides_no_failure_of_the_watch(instance, tmp_path) -> None:
    watch_fails(instance)
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(dg.AssetKey("drift_report"), "features_within_limits", passed=True, metadata={})
    )
    assert failing_watch(instance) == ["drift_report:features_within_limits fails: 2018: 2 features drifted."]


def test_what_is_posted_to_the_web_server_is_no_training(instance, tmp_path) -> None:
    train(instance, tmp_path, "v1", y2018="a")
    instance.report_runless_asset_event(dg.AssetMaterialization("bridge_model", metadata={"model_version": "posted"}))
    latest = latest_version_of(instance, "bridge_model")
    assert latest is not None
    assert latest.version == "v1"


def test_a_model_whose_folder_is_gone_is_named(instance, tmp_path) -> None:
    features(tmp_path, y2018="a")
    train(instance, tmp_path, "v1", y2017="a")
    (tmp_path / "models" / "v1" / "manifest.json").unlink()
    with pytest.raises(ModelVersionError, match="there is no model version 'v1'"):
        due(instance)
