"""One run builds everything; a second run gives the same; a failure reports its reason and keeps existing outputs."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from support.small_platform import YEARS, error_messages

from bridge_assets.cli import main
from bridge_assets.data.origin import SAMPLE_SOURCE
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.nbi.coding_guide.codes import STATE_NAMES
from bridge_assets.orchestration.runs.liveness import ORPHANED_RUN_MESSAGE
from bridge_assets.orchestration.runs.summary import run_summary
from bridge_assets.settings import DataSettings, workspace_file
from bridge_assets.storage import digest

ALL_YEARS = list(range(YEARS[0], YEARS[1] + 1))


def outputs(platform) -> dict[str, str]:
    """Digests of all outputs that people and later steps read."""
    files = [*(platform.home / "lake").rglob("*.parquet"), *(platform.home / "reports").iterdir()]
    files += (platform.home / "models").rglob("*.*")
    return {str(path.relative_to(platform.home)): digest(path) for path in files if path.is_file()}


def test_the_first_run_builds_everything(platform) -> None:
    assert platform.first_run.success, platform.first_run.errors
    assert platform.first_run.errors == []
    assert {
        name for name, (passed, severity, _) in platform.first_run.checks.items() if not passed and severity == "ERROR"
    } == set()
    for table in ("raw_bridges", "rejected_records", "bridge_features", "bridge_predictions", "drift_report"):
        assert platform.lake.available_years(table) == ALL_YEARS
    assert (platform.home / "reports" / "condition_report.html").is_file()
    sheet = pl.read_csv(platform.home / "reports" / "bridge_outlook.csv", infer_schema=False)
    assert sheet.height == platform.lake.read_year("bridge_predictions", YEARS[1]).height
    assert sheet.columns[0] == "source" and set(sheet["source"]) == {SAMPLE_SOURCE}
    for page in ("condition_report.html", "data_quality.html"):
        assert "This is the generated sample" in (platform.home / "reports" / page).read_text(encoding="utf-8")
    assert "Every bridge is invented" in run_summary(platform.first_run, DataSettings.load())
    assert sheet["why"].drop_nulls().str.contains(r"\(\+[0-9.]+ points\)").all()
    assert sheet["why"].null_count() < sheet.height and set(sheet["state"]) == {
        STATE_NAMES[code] for code in sheet["state_code"]
    }
    assert (
        LocalEndpoint(platform.home / "endpoints" / "local").current()
        == platform.first_run.materializations["bridge_model"]["model_version"]
    )


def test_the_run_is_in_the_history_of_its_job_and_on_the_timeline(platform) -> None:
    target = WorkspaceFileTarget([str(workspace_file())])
    with dg.DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as workspace:
        (location,) = workspace.create_request_context().code_locations
        (repository,) = location.get_repositories().values()
        job = repository.get_full_job("full_pipeline")
        label = repository.handle.get_remote_origin().get_label()
        of_the_job = dg.RunsFilter(job_name="full_pipeline", tags={REPOSITORY_LABEL_TAG: label})
        runs = workspace.instance.get_runs(of_the_job)
    assert [run.run_id for run in runs] == [platform.first_run.run_id]
    assert runs[0].remote_job_origin == job.get_remote_origin()


def test_the_first_bridges_of_each_list_in_the_last_year_have_reasons(platform) -> None:
    scores = platform.lake.read_year("bridge_predictions", YEARS[1])
    explained = scores.filter(pl.col("reasons").is_not_null())
    assert explained.height == scores.filter(pl.col("rank_in_list") <= 25).height
    shown = platform.first_run.materializations["bridge_predictions"]
    assert shown["reasons_explained"] == explained.height
    assert shown["reasons_base_value"] == pytest.approx(scores["fall_probability"].mean(), abs=1e-5)
    assert platform.lake.read_year("bridge_predictions", YEARS[0])["reasons"].drop_nulls().is_empty()
    outlook = platform.lake.read("mart_bridge_outlook").filter(pl.col("reasons").is_not_null())
    assert set(outlook["structure_key"]) == set(explained["structure_key"])


def test_a_version_is_served_and_explained_after_its_folder_is_gone(platform) -> None:
    version = LocalEndpoint(platform.home / "endpoints" / "local").current()
    shutil.rmtree(platform.home / "models" / str(version))
    result = platform.materialize("bridge_predictions", partition=str(YEARS[1]))
    assert result.success, error_messages(result)
    assert platform.lake.provenance("bridge_predictions", YEARS[1])["explained"]["explained"] > 0


def test_features_and_staging_use_the_same_record_of_a_structure(platform) -> None:
    inspections = platform.lake.read("int_inspections")
    features = platform.lake.read_years("bridge_features")
    joined = inspections.join(features, on=["structure_key", "survey_year"], how="inner", suffix="_of_features")
    assert joined.height == inspections.height
    assert (joined["condition"] == joined["condition_of_features"].cast(pl.Int8)).all()
    assert (joined["inspection_date"] == joined["inspection_date_of_features"]).all()


def test_a_second_run_gives_the_same_bytes(platform) -> None:
    before = outputs(platform)
    again = platform.run()
    assert again.success, again.errors
    assert outputs(platform) == before


def test_too_little_training_data_skips_the_model_only_where_none_is_served(platform, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__SPLIT__HOLDOUT_YEARS", "20")  # leaves nothing to train on
    served = platform.materialize("training_set")
    assert not served.success
    checks = {evaluation.check_name: evaluation for evaluation in served.get_asset_check_evaluations()}
    assert not checks["enough_training_data"].passed
    shutil.rmtree(platform.home / "endpoints")
    unserved = platform.materialize("training_set", "bridge_model")
    assert unserved.success
    assert unserved.get_asset_materialization_events() == []
    [observed] = unserved.get_asset_observation_events()
    reason = observed.asset_observation_data.asset_observation.metadata["skipped_reason"].value
    assert "inspections in the train split" in str(reason) and "What to do" in str(reason)


def test_predict_uses_the_model_of_the_endpoint(platform) -> None:
    scores = platform.lake.read_year("bridge_predictions", YEARS[1])
    key, probability = scores.select("structure_key", "fall_probability").row(0)
    predicted = CliRunner().invoke(main, ["predict", key])
    assert predicted.exit_code == 0, predicted.output
    assert f"{probability:.1%}" in predicted.output
    assert f"model {LocalEndpoint(platform.home / 'endpoints' / 'local').current()}" in predicted.output
    unknown = CliRunner().invoke(main, ["predict", "01-NOSUCHBRIDGE"])
    assert unknown.exit_code == 1
    assert "there is no bridge 01-NOSUCHBRIDGE" in unknown.output
    near = CliRunner().invoke(main, ["predict", key.lower().lstrip("0")])
    assert f"What to do: try {key}, or take a key from" in near.output


def test_the_summary_names_a_bridge_that_can_be_predicted(platform) -> None:
    summary = run_summary(platform.first_run, DataSettings.load(), "bin/bridge-assets")
    [line] = [line for line in summary.splitlines() if line.startswith("  Predict: ")]
    words = shlex.split(line.partition(":")[2].partition("(")[0])
    assert words[:2] == ["bin/bridge-assets", "predict"]
    assert CliRunner().invoke(main, words[1:]).exit_code == 0


def test_rollback_reports_the_served_version(platform, monkeypatch) -> None:
    nothing = CliRunner().invoke(main, ["rollback"])
    assert nothing.exit_code == 1
    assert "no previous version" in nothing.output
    first = LocalEndpoint(platform.home / "endpoints" / "local").current()
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__SEED", "7")
    result = platform.materialize("bridge_model", "quantized_model", "onnx_model", "registered_model", "local_endpoint")
    assert result.success, error_messages(result)
    back = CliRunner().invoke(main, ["rollback"])
    assert back.exit_code == 0, back.output
    assert LocalEndpoint(platform.home / "endpoints" / "local").current() == first


@pytest.mark.slow
@pytest.mark.parametrize("after", ["load_records ", "dbt_inventory", "bridge_predictions "])
def test_a_killed_run_leaves_complete_outputs_and_the_next_run_gives_the_same_result(platform, after) -> None:
    before = outputs(platform)
    command = [
        str(Path(sys.executable).parent / "bridge-assets"),
        "run",
        "--job",
        "latest_year",
        "--years",
        "2017-2018",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert any(line.strip().startswith(after.strip()) for line in running.stdout)
        running.kill()
    assert running.returncode == -signal.SIGKILL
    for name, value in outputs(platform).items():
        assert value == before[name], f"{name} differs after the kill"
    again = platform.run("latest_year", (2017, 2018))
    assert again.success, again.errors
    assert outputs(platform) == before
    with dg.DagsterInstance.get() as instance:
        [killed] = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        assert instance.all_logs(killed.run_id)[-1].message.endswith(ORPHANED_RUN_MESSAGE)


@pytest.mark.slow
@pytest.mark.parametrize(("after", "seconds"), [("Running", 4), ("nbi_files", 0.5), ("data_quality", 3)])
def test_an_interrupted_run_is_canceled_and_says_how_to_go_on(platform, after, seconds) -> None:
    before = outputs(platform)
    command = [
        str(Path(sys.executable).parent / "bridge-assets"),
        "run",
        "--job",
        "latest_year",
        "--years",
        "2017-2018",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        assert any(line.split()[0] == after for line in running.stdout)
        time.sleep(seconds)
        os.killpg(running.pid, signal.SIGINT)  # as the terminal does: every process of the run gets it
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            # A bare `except` in a library (dagster-dbt, while it opens the adapter) can swallow the first one.
            os.killpg(running.pid, signal.SIGINT)
        text = running.stdout.read()
    assert running.returncode == 130, text
    assert "Traceback" not in text
    # While Dagster still loads its definitions there is no run yet.
    has_run = "Canceled after" in text
    assert has_run or (after == "Running" and "Canceled before the run started: nothing was changed." in text)
    assert f"To go on, run `{' '.join(command)}` again." in text
    assert outputs(platform) == before
    with dg.DagsterInstance.get() as instance:
        assert len(instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED]))) == has_run
    again = platform.run("latest_year", (2017, 2018))
    assert again.success, again.errors
    assert outputs(platform) == before


def test_what_steps_print_is_in_the_log_file_of_the_run(platform) -> None:
    with dg.DagsterInstance.get() as instance:
        [log] = (Path(instance.storage_directory()) / platform.first_run.run_id / "compute_logs").glob("*.out")
    assert "Running with dbt=" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda folder: (folder / "NBI_2018.txt").unlink(), "no file for survey year 2018"),
        (lambda folder: (folder / "NBI_2018.txt").write_text(""), "the file is empty"),
        (lambda folder: (folder / "NBI_2018.txt").write_text("<html>"), "this is a web page"),
        (lambda folder: (folder / "NBI_2018.txt").write_text("a,b\n1,2\n"), "not one of the published NBI layouts"),
        (
            lambda folder: (folder / "NBI_2018.txt").write_bytes(bytes(range(256)) * 9),
            "not one of the published NBI layouts",
        ),
        (lambda folder: (folder / "AL18.txt").write_text(""), "2 files for survey year 2018"),
    ],
    ids=["missing", "empty", "web page", "wrong header", "binary", "two files"],
)
def test_a_bad_file_fails_with_its_reason_and_leaves_existing_outputs(platform, break_it, says) -> None:
    before = outputs(platform)
    break_it(platform.home / "sample")
    failed = platform.materialize("nbi_files", "raw_bridges", "rejected_records", partition="2018")
    assert not failed.success
    assert says in error_messages(failed)
    assert "What to do" in error_messages(failed)
    assert outputs(platform) == before


def test_a_missing_source_folder_fails_with_its_reason(platform, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(platform.home / "gone"))
    assert "the source folder does not exist" in error_messages(platform.materialize("nbi_files", partition="2018"))
    ran = CliRunner().invoke(main, ["run"])
    assert ran.exit_code == 1
    assert "the source folder does not exist" in ran.output


def test_a_file_without_a_loadable_row_is_stopped_by_its_check(platform) -> None:
    path = platform.home / "sample" / "NBI_2018.txt"
    header, *rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + b"".join(row[:50] + b"\n" for row in rows[:20]))
    result = platform.materialize("nbi_files", "raw_bridges", "rejected_records", partition="2018")
    checks = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert not checks["rows_reconcile"].passed
    assert "NBI_2018.txt: no row was loaded (20 rejected)" in (checks["rows_reconcile"].description or "")
    assert platform.lake.read_year("rejected_records", 2018).height == 20


def test_features_with_other_definitions_are_not_scored(platform) -> None:
    recorded = platform.lake.provenance("bridge_features", 2018)
    platform.lake.write_provenance("bridge_features", 2018, {**recorded, "features_digest": "another"})
    message = error_messages(platform.materialize("bridge_predictions", partition="2018"))
    assert "cannot score the features of 2018" in message


def test_bridge_names_are_shown_escaped_and_written_raw(platform) -> None:
    name = '=HYPERLINK("x";"<script>")'
    outlook = platform.lake.read("mart_bridge_outlook").with_columns(facility_carried=pl.lit(name))
    platform.lake.write(outlook, "mart_bridge_outlook")
    assert platform.materialize("condition_report", "looker_sheet").success
    page = (platform.home / "reports" / "condition_report.html").read_text()
    assert page.count("<script>") == 1, "the script of search and sort"
    assert name not in page
    sheet = pl.read_csv(platform.home / "reports" / "bridge_outlook.csv", infer_schema=False)
    assert set(sheet["facility_carried"]) == {name}
