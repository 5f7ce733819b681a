"""The table of pipeline metrics: every line once, over rotation, kills and lines that are not ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from bridge_assets.data.lake import Lake
from bridge_assets.metrics import pipeline_table
from bridge_assets.metrics.pipeline_metrics import METRICS_FILE, PipelineMetricsLogger
from bridge_assets.metrics.pipeline_table import COLUMNS, update_pipeline_table
from bridge_assets.orchestration.assets.operations import pipeline_metrics
from bridge_assets.orchestration.resources import Platform
from bridge_assets.settings import DataSettings, config_file


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    (tmp_path / "metrics").mkdir()
    return tmp_path / "metrics" / "pipeline.jsonl"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "lake" / "pipeline_metrics.parquet"


def line(number: int, **values: object) -> dict:
    base = {"kind": "step", "at": 1_790_000_000 + number / 8, "run": "r", "job": "j", "step": f"s{number}"}
    return {**base, "partition": "2024", "outcome": "success", "seconds": 1.5, "peak_memory_mb": 100.0, **values}


def steps(table: Path) -> list[str]:
    return [step for (step,) in duckdb.connect().execute(f"select step from '{table}' order by ended_at").fetchall()]


def test_every_line_is_one_row_however_often_the_table_is_updated(lines, table):
    logger = PipelineMetricsLogger(lines)
    logger.write(*[line(number) for number in range(3)])
    assert update_pipeline_table(lines, table)[1].added == 3
    assert update_pipeline_table(lines, table)[1].added == 0
    logger.write(line(3))
    update = update_pipeline_table(lines, table)[1]
    assert (update.added, update.rows, update.torn, update.foreign) == (1, 4, 0, 0)
    assert steps(table) == ["s0", "s1", "s2", "s3"]


def test_what_was_rotated_between_two_updates_is_read_and_what_is_gone_stays(lines, table):
    logger = PipelineMetricsLogger(lines, max_bytes=1500, kept_files=3)
    for number in range(60):
        logger.write(line(number))
        if number % 7 == 0:
            update_pipeline_table(lines, table)
    update_pipeline_table(lines, table)
    assert steps(table) == [f"s{number}" for number in range(60)]
    assert len(list(lines.parent.glob("*.jsonl"))) <= 4


def test_only_what_was_appended_is_read(lines, table, monkeypatch):
    logger = PipelineMetricsLogger(lines, max_bytes=1500)
    logger.write(*[line(number) for number in range(20)])
    update_pipeline_table(lines, table)
    seen, read = [], pipeline_table._read_lines

    def counting(content: bytes, *arguments: Any, **options: Any):
        seen.append(len(content))
        return read(content, *arguments, **options)

    monkeypatch.setattr(pipeline_table, "_read_lines", counting)
    logger.write(line(20))
    update_pipeline_table(lines, table)
    assert 0 < sum(seen) < 400


def test_a_lost_or_broken_memory_and_a_lost_table_repeat_nothing(lines, table):
    PipelineMetricsLogger(lines).write(*[line(number) for number in range(5)])
    for content in ("", "{", '{"x": "y"}', "[1]"):
        update_pipeline_table(lines, table)
        table.with_suffix(".json").write_text(content)
        assert update_pipeline_table(lines, table)[1].rows == 5
    table.unlink()
    assert update_pipeline_table(lines, table)[1].rows == 5


def test_a_kill_between_table_and_memory_repeats_nothing(lines, table, monkeypatch):
    PipelineMetricsLogger(lines).write(*[line(number) for number in range(5)])
    monkeypatch.setattr(pipeline_table, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        update_pipeline_table(lines, table)
    monkeypatch.undo()
    assert update_pipeline_table(lines, table)[1].rows == 5


@pytest.mark.parametrize(
    ("text", "reason", "torn"),
    [
        (b'{"kind": "step", "at": 17', "not whole JSON", True),
        (b"\0\0\0\0", "not whole JSON", True),
        (b"\xff\xfe", "not whole JSON", True),
        (b"[" * 5000, "not whole JSON", True),
        (b"[1]", "a list in place of an object", False),
        (b'{"level": "info", "msg": "x"}', "its kind is not run, step or asset", False),
        (b'{"kind": "step", "at": "now"}', "its time (at) is not a number", False),
        (b'{"kind": "step", "at": NaN}', "its time (at) is not a number", False),
        (b'{"kind": "step", "at": 1, "rows": "many"}', "rows is of another type", False),
        (b'{"kind": "step", "at": 1, "rows": 1e30}', "rows is of another type", False),
        (b'{"kind": "step", "at": 1, "step": 5}', "step is of another type", False),
    ],
)
def test_lines_that_are_not_ours_are_counted_and_named_and_the_others_read(lines, table, text, reason, torn):
    logger = PipelineMetricsLogger(lines)
    logger.write(line(0))
    size = lines.stat().st_size
    lines.write_bytes(lines.read_bytes() + text)  # as a full disk cuts it off: the next writer ends the line
    assert update_pipeline_table(lines, table)[1].named == []  # it may still be written
    logger.write(line(1))
    update = update_pipeline_table(lines, table)[1]
    assert (update.torn, update.foreign, update.rows) == (int(torn), int(not torn), 2)
    assert update.named[0].startswith(f"pipeline.jsonl, byte {size}: {reason}")
    assert update_pipeline_table(lines, table)[1].named == []


def test_unknown_keys_and_half_characters_do_no_harm(lines, table):
    lines.write_text(json.dumps(line(0, job="\udcff", new_key=[1])) + "\n")
    rows, update = update_pipeline_table(lines, table)
    assert (update.rows, update.foreign) == (1, 0)
    assert rows["job"].to_list() == ["?"]


def test_a_table_of_an_earlier_version_gets_the_new_columns(lines, table):
    PipelineMetricsLogger(lines).write(line(0))
    rows, _ = update_pipeline_table(lines, table)
    rows.drop("code_version").write_parquet(table)
    PipelineMetricsLogger(lines).write(line(1))
    rows, update = update_pipeline_table(lines, table)
    assert (rows.columns, update.rows) == (list(COLUMNS), 2)


def test_before_the_first_run_the_table_is_empty(lines, table):
    lines.parent.rmdir()
    assert update_pipeline_table(lines, table)[1].rows == 0
    assert steps(table) == []


def test_two_updates_and_a_writer_at_once_lose_and_repeat_nothing(lines, table):
    code = (
        "import sys; from pathlib import Path; from bridge_assets.metrics.pipeline_table import update_pipeline_table\n"
        "for _ in range(6): update_pipeline_table(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    updates = [subprocess.Popen([sys.executable, "-c", code, str(lines), str(table)]) for _ in range(2)]
    logger = PipelineMetricsLogger(lines, max_bytes=4000, kept_files=100)
    for number in range(400):
        logger.write(line(number))
    assert [each.wait(60) for each in updates] == [0, 0]
    assert update_pipeline_table(lines, table)[1].rows == 400


def test_the_asset_makes_the_table_from_real_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    overrides = {"python_logs": yaml.safe_load(config_file("dagster.yaml").read_text())["python_logs"]}

    @dg.asset
    def something() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"dagster/row_count": 7})

    with dg.instance_for_test(overrides=overrides) as instance:
        dg.materialize([something], instance=instance)
        with (tmp_path / "home" / METRICS_FILE).open("a") as file:
            file.write("not ours\n")
        done = dg.materialize([pipeline_metrics], instance=instance, resources={"platform": Platform()})
        [event] = done.get_asset_materialization_events()
        metadata = event.materialization.metadata
        assert metadata["dagster/row_count"].value == 3
        assert metadata["torn_lines"].value == 1
        assert "pipeline.jsonl, byte " in str(metadata["not_read"].value)
        path = Lake(DataSettings.load().lake).table_path("pipeline_metrics")
        found = duckdb.connect().execute(f"select kind, rows from '{path}' order by ended_at").fetchall()
        assert found == [("asset", 7), ("step", None), ("run", None)]
        assert duckdb.connect().execute(str(metadata["query"].value)).fetchall()[0][0] == "something"
        columns = duckdb.connect().execute(f"describe select * from '{path}'").fetchall()
    types = {name: kind.lower() for name, kind, *_ in columns}
    assert types == {name: kind for name, (kind, _) in COLUMNS.items()}


def test_the_documented_queries_run(tmp_path):
    lines = tmp_path / "var" / METRICS_FILE
    lines.parent.mkdir(parents=True)
    PipelineMetricsLogger(lines).write(line(0), line(1, step="s0", seconds=2.5))
    update_pipeline_table(lines, tmp_path / "var" / "lake" / "pipeline_metrics.parquet")
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    of_table, of_lines = page.partition("```sql\n")[2].partition("\n```")[0].split("\n")
    assert duckdb.connect().execute(of_table.replace("'var/", f"'{tmp_path}/var/")).fetchall() == [("s0", 2, 2.0)]
    assert duckdb.connect().execute(of_lines.replace("'var/", f"'{tmp_path}/var/")).fetchall() == [("s0", 2.0)]
