"""What the exporter says of an instance: after runs, without one, and while its storage is locked."""

import shutil
import sqlite3
import time
from pathlib import Path

import dagster as dg
import pytest
from metrics.test_prometheus_metrics import samples

from bridge_assets.metrics.exporter import Exporter
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.exporter.parts import exporter_parts
from bridge_assets.settings import DataSettings

YEARS = dg.StaticPartitionsDefinition(["2020", "2021"])


@dg.asset(partitions_def=YEARS, group_name=groups.SCORING)
def drift_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"drifted": int(context.partition_key) - 2000, "distance": 0.25, "note": "x"})


@dg.asset_check(asset=drift_report, name="distance")
def warns() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=drift_report, name="rows")
def passes() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def broken() -> None:
    raise RuntimeError("no")


DEFINITIONS = dg.Definitions(
    assets=[drift_report, broken],
    asset_checks=[warns, passes],
    jobs=[dg.define_asset_job("yearly", [drift_report]), dg.define_asset_job("breaks", [broken])],
)


@pytest.fixture
def data(tmp_path, monkeypatch) -> DataSettings:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return DataSettings.load()


@pytest.fixture(scope="module")
def after_runs(tmp_path_factory) -> Path:
    """The home of an instance with two runs that succeeded and one that failed."""
    folder = tmp_path_factory.mktemp("instance")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        for year in ("2021", "2020"):
            job = DEFINITIONS.resolve_job_def("yearly")
            assert job.execute_in_process(instance=instance, partition_key=year).success
        DEFINITIONS.resolve_job_def("breaks").execute_in_process(instance=instance, raise_on_error=False)
    return folder


@pytest.fixture
def home(data, after_runs) -> Path:
    """A copy of it, where the settings say that the instance is."""
    return shutil.copytree(after_runs, data.home_folder / "dagster")


def scraped(data: DataSettings, seconds: float = 30) -> dict[str, float]:
    return samples(Exporter(exporter_parts(DEFINITIONS, data), seconds).exposition()[0].decode())


def successes(found: dict[str, float]) -> dict[str, float]:
    prefix = "bridge_assets_exporter_part_success"
    return {name.split('"')[1]: value for name, value in found.items() if name.startswith(prefix)}


def test_jobs_assets_checks_and_the_disk_are_exported(data, home):
    began = time.time()
    found = scraped(data)
    assert set(successes(found).values()) == {1}
    success, failure = (f"bridge_assets_job_last_{end}_timestamp_seconds" for end in ("success", "failure"))
    assert began - 120 < found[f'{success}{{dagster_job="yearly"}}'] <= began
    assert began - 120 < found[f'{failure}{{dagster_job="breaks"}}'] <= began
    assert f'{success}{{dagster_job="breaks"}}' not in found
    assert 0 < found['bridge_assets_job_last_success_duration_seconds{dagster_job="yearly"}'] < 60
    assert began - 120 < found['bridge_assets_asset_last_materialization_timestamp_seconds{asset="drift_report"}']
    failed = 'bridge_assets_check_failed{{asset="drift_report",check="{}",group="6_scoring",severity="{}"}}'
    assert found[failed.format("distance", "WARN")] == 1
    assert found[failed.format("distance", "ERROR")] == 0
    assert found[failed.format("rows", "ERROR")] == 0
    assert found['bridge_assets_runs_open{status="queued"}'] == 0
    assert found["bridge_assets_event_log_bytes"] > 10_000
    assert 0 < found["bridge_assets_disk_free_bytes"] < found["bridge_assets_disk_size_bytes"]


def test_the_numbers_are_those_of_the_latest_year_not_of_the_latest_run(data, home):
    found = scraped(data)
    assert found['bridge_assets_asset_value{asset="drift_report",name="drifted"}'] == 21
    assert found['bridge_assets_asset_value{asset="drift_report",name="distance"}'] == 0.25
    assert found['bridge_assets_asset_survey_year{asset="drift_report"}'] == 2021
    assert not [name for name in found if 'name="note"' in name]


def test_a_run_in_progress_and_a_daemon_are_exported(data, home):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.create_run_for_job(DEFINITIONS.resolve_job_def("yearly"), status=dg.DagsterRunStatus.STARTED)
        from dagster._daemon.types import DaemonHeartbeat

        instance.add_daemon_heartbeat(DaemonHeartbeat(1234.0, "SENSOR", None, []))
    found = scraped(data)
    assert found['bridge_assets_runs_open{status="started"}'] == 1
    assert time.time() - found['bridge_assets_runs_open_since_timestamp_seconds{status="started"}'] < 120
    assert found['bridge_assets_daemon_heartbeat_timestamp_seconds{daemon="SENSOR"}'] == 1234


def test_a_check_that_is_going_on_keeps_its_last_result(data, home):
    key = dg.AssetCheckKey(dg.AssetKey("drift_report"), "distance")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = instance.create_run_for_job(DEFINITIONS.resolve_job_def("yearly"), status=dg.DagsterRunStatus.STARTED)
        (latest,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
        assert latest.run_id == run.run_id
    assert (
        scraped(data)[
            'bridge_assets_check_failed{asset="drift_report",check="distance",group="6_scoring",severity="WARN"}'
        ]
        == 1
    )


def test_without_an_instance_every_part_but_the_disk_fails_and_nothing_is_created(data, capsys):
    found = scraped(data)
    assert {name for name, value in successes(found).items() if value} == {"storage"}
    assert list(data.home_folder.iterdir()) == []
    assert "run `bridge-assets run` or `bridge-assets dev`" in capsys.readouterr().err


def test_while_the_storage_is_locked_the_answer_comes_in_time_and_afterwards_all_is_there(data, home):
    exporter = Exporter(exporter_parts(DEFINITIONS, data), seconds=1)
    locks = []
    for path in home.glob("history/**/*.db"):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        locks.append(connection)
    began = time.monotonic()
    found = samples(exporter.exposition()[0].decode())
    assert time.monotonic() - began < 4
    assert successes(found)["jobs"] == successes(found)["assets"] == 0
    assert successes(found)["storage"] == 1
    for lock in locks:
        lock.close()
    deadline = time.monotonic() + 40
    while set(successes(samples(exporter.exposition()[0].decode())).values()) != {1}:
        assert time.monotonic() < deadline


def test_an_instance_that_appears_or_is_replaced_later_is_read(data, home):
    kept = home.with_name("kept")
    exporter = Exporter(exporter_parts(DEFINITIONS, data), seconds=30)
    assert successes(samples(exporter.exposition()[0].decode()))["jobs"] == 1
    shutil.move(home, kept)
    assert successes(samples(exporter.exposition()[0].decode()))["jobs"] == 0
    shutil.move(kept, home)
    assert set(successes(samples(exporter.exposition()[0].decode())).values()) == {1}
