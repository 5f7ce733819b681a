"""Only one run at a time writes the DuckDB file, and dbt gets the paths of the lake and the warehouse."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from bridge_assets.orchestration.assets import warehouse
from bridge_assets.orchestration.dbt import dbt_arguments, warehouse_lock
from bridge_assets.orchestration.resources import Platform
from bridge_assets.settings import DataSettings


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSettings:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    return DataSettings.load()


class RecordingDbt:
    """Stands in for dbt: records when it starts and ends writing, and with which arguments."""

    manifest: ClassVar[dict[str, Any]] = {
        "nodes": {
            "dim_structures": {"name": "dim_structures", "resource_type": "model", "description": "", "columns": {}}
        }
    }

    def __init__(self) -> None:
        self.events: list[str] = []
        self.arguments: list[str] = []

    def cli(self, arguments: list[str], **options: Any) -> RecordingDbt:
        self.arguments = arguments
        return self

    def stream(self) -> Iterator[Any]:
        self.events.append("start")
        time.sleep(0.2)
        self.events.append("end")
        yield from ()


def run_step(dbt: Any, log: list[str]) -> list[Any]:
    context: Any = SimpleNamespace(log=SimpleNamespace(info=log.append))
    return list(warehouse._build_and_export(context, dbt, Platform(), ("dim_structures",)))


def test_two_runs_do_not_write_the_warehouse_at_the_same_time(
    data: DataSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dbt, log = RecordingDbt(), []
    monkeypatch.setattr(
        "bridge_assets.data.warehouse_export.export_tables", lambda *arguments: dbt.events.append("exported")
    )
    runs = [threading.Thread(target=run_step, args=(dbt, log)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(timeout=60)
    assert dbt.events == ["start", "end", "exported"] * 2
    [waited] = log
    assert str(data.warehouse) in waited


def test_a_killed_run_does_not_block_the_next(data: DataSettings) -> None:
    lock = data.warehouse.with_name(f".{data.warehouse.name}.lock")
    code = (
        "import sys, time; from pathlib import Path; from bridge_assets.file_lock import file_lock\n"
        "with file_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    waits: list[str] = []
    with subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline().strip() == "held"
        threading.Timer(0.3, killed.send_signal, [signal.SIGKILL]).start()
        with warehouse_lock(data, waits.append):
            assert killed.wait(timeout=10) == -signal.SIGKILL
    assert f"Waiting for process {killed.pid} to write" in waits[0]


def test_models_that_dbt_built_before_it_failed_are_reported_and_the_lock_is_free(data: DataSettings) -> None:
    class FailingDbt(RecordingDbt):
        def stream(self) -> Iterator[Any]:
            yield "built"
            raise RuntimeError("a test failed")

    reported = []
    context: Any = SimpleNamespace(log=SimpleNamespace(info=print))
    failing: Any = FailingDbt()
    with pytest.raises(RuntimeError, match="a test failed"):
        reported.extend(warehouse._build_and_export(context, failing, Platform(), ()))
    assert reported == ["built"]
    waits: list[str] = []
    with warehouse_lock(data, waits.append):
        assert waits == []


def test_dbt_gets_the_paths_as_variables(data: DataSettings) -> None:
    arguments = dbt_arguments(data, Platform().model)
    assert json.loads(arguments[arguments.index("--vars") + 1]) == {
        "lake": str(data.lake),
        "warehouse": str(data.warehouse),
        "horizon_months": Platform().model.horizon_months,
    }
