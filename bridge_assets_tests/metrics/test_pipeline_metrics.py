"""Lines of JSON about runs, steps and assets, from Dagster's own events."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest
import yaml

from bridge_assets.metrics.pipeline_metrics import METRICS_FILE, PipelineMetricsLogger
from bridge_assets.settings import config_file


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(folder))
    monkeypatch.setattr(PipelineMetricsLogger, "_said", False)
    return folder


@pytest.fixture
def instance(home) -> Iterator[dg.DagsterInstance]:
    """An instance with the handler that configs/dagster.yaml hangs on it."""
    overrides = {"python_logs": yaml.safe_load(config_file("dagster.yaml").read_text())["python_logs"]}
    with dg.instance_for_test(overrides=overrides) as made:
        yield made


def lines_in(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2020", "2021"]), code_version="7")
def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    path = Path(os.environ["BRIDGE_ASSETS_DATA__HOME"]) / "table.parquet"
    path.write_bytes(b"12345")
    rows = "dagster/row_count" if context.partition_key == "2020" else "dagster/partition_row_count"  # both are used
    metadata = {rows: 3, "file": dg.MetadataValue.path(str(path))}
    return dg.MaterializeResult(data_version=dg.DataVersion("abc"), metadata=metadata)


@dg.asset(deps=[table])
def broken() -> None:
    raise RuntimeError("no")


def test_a_run_its_steps_and_its_assets_have_a_line_each(instance, home):
    done = dg.materialize([table], instance=instance, partition_key="2020")
    asset, step, run = lines_in(home / METRICS_FILE)
    assert [each["kind"] for each in (asset, step, run)] == ["asset", "step", "run"]
    for each in (asset, step, run):
        assert (each["run"], each["partition"], each["outcome"]) == (done.run_id, "2020", "success")
        assert 0 <= each["seconds_into_step" if each is asset else "seconds"] < 60
    assert (asset["asset"], asset["rows"], asset["bytes"]) == ("table", 3, 5)
    assert (asset["data_version"], asset["code_version"]) == ("abc", "7")
    assert step["step"] == "table"
    assert 20 < step["peak_memory_mb"] < 20_000
    assert run["seconds"] >= step["seconds"]


def test_a_failure_has_its_lines_too(instance, home):
    dg.materialize([broken], instance=instance, raise_on_error=False)
    step, run = lines_in(home / METRICS_FILE)
    assert (step["step"], step["outcome"], run["outcome"]) == ("broken", "failure", "failure")


def test_duckdb_reads_them_in_one_line(instance, home):
    for partition in ("2020", "2021"):
        dg.materialize([table], instance=instance, partition_key=partition)
    query = f"select partition, rows from read_json('{home}/metrics/pipeline*.jsonl', union_by_name=true) "
    found = duckdb.connect().execute(query + "where kind = 'asset' order by all").fetchall()
    assert found == [("2020", 3), ("2021", 3)]


def test_the_home_is_not_written_without_a_run(instance, home):
    assert not (home / METRICS_FILE).exists()


WRITER = """
import sys
from bridge_assets.metrics.pipeline_metrics import PipelineMetricsLogger
logger = PipelineMetricsLogger(sys.argv[1], max_bytes=int(sys.argv[3]), kept_files=50)
for number in range(int(sys.argv[4])):
    logger.write({"writer": sys.argv[2], "number": number, "filler": "x" * 300})
"""


def started(path: Path, writer: str, max_bytes: int, lines: int) -> subprocess.Popen:
    arguments = [sys.executable, "-c", WRITER, str(path), writer, str(max_bytes), str(lines)]
    return subprocess.Popen(arguments)


def test_several_processes_write_whole_lines_and_none_is_lost_when_files_are_rotated(tmp_path):
    path = tmp_path / "lines.jsonl"
    processes = [started(path, str(writer), 40_000, 300) for writer in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    files = sorted(tmp_path.glob("lines*.jsonl"))
    assert len(files) > 5
    found = {(line["writer"], line["number"]) for file in files for line in lines_in(file)}
    assert found == {(str(writer), number) for writer in range(4) for number in range(300)}


def test_after_a_kill_every_line_is_whole(tmp_path):
    path = tmp_path / "lines.jsonl"
    for _ in range(5):
        process = started(path, "killed", 10**9, 10**6)
        while not path.exists() or path.stat().st_size < 20_000:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        PipelineMetricsLogger(path).write({"writer": "next"})
        assert lines_in(path)[-1] == {"writer": "next"}
        path.unlink()


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"whole": 1}\n{"cut o')
    PipelineMetricsLogger(path).write({"whole": 2})
    assert [json.loads(line) for line in path.read_text().splitlines() if "whole" in line] == [
        {"whole": 1},
        {"whole": 2},
    ]


def test_only_so_many_old_files_are_kept(tmp_path):
    logger = PipelineMetricsLogger(tmp_path / "lines.jsonl", max_bytes=10, kept_files=2)
    for number in range(6):
        logger.write({"number": number})
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == ["lines.1.jsonl", "lines.2.jsonl"]
    assert lines_in(tmp_path / "lines.1.jsonl") == [{"number": 5}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_does_not_break_a_run(instance, home, capfd):
    (home / "metrics").mkdir()
    (home / METRICS_FILE).symlink_to("/dev/full")
    assert dg.materialize([table], instance=instance, partition_key="2020").success
    said = capfd.readouterr().err
    assert said.count("pipeline metrics are not written: [Errno 28]") == 1


RUN = """
import dagster as dg, resource, sys, yaml
from bridge_assets.settings import config_file
if int(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))

@dg.asset
def something() -> None: pass

overrides = {"python_logs": yaml.safe_load(config_file("dagster.yaml").read_text())["python_logs"]}
with dg.instance_for_test(overrides=overrides) as instance:
    assert dg.materialize([something], instance=instance).success
"""


def test_a_disk_that_fills_up_breaks_no_run_and_leaves_whole_lines(home):
    """The limit of the size of files stands for the disk; Dagster's own files are smaller."""
    (home / "metrics").mkdir()
    path, filler = home / METRICS_FILE, json.dumps({"filler": "x" * 1000}) + "\n"
    path.write_text(filler * 12_000)
    size = path.stat().st_size

    def run(limit: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", RUN, str(limit)], capture_output=True, text=True, check=True)

    assert run(size + 300).stderr.count("pipeline metrics are not written: ") == 1
    full = path.read_text()
    assert full.endswith("\n")
    assert size <= len(full) <= size + 300
    run(0)
    lines = path.read_text()[len(full) :].splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["asset", "step", "run"]
