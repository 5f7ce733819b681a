"""What a terminal and a pipe show while the steps of a run go on."""

from __future__ import annotations

import io
import re
import time
import uuid
from typing import Any

import dagster as dg
import pytest

from bridge_assets.orchestration.runs.progress import RunProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dg.op
def quick() -> None:
    pass


@dg.op(ins={"after": dg.In(dg.Nothing)})
def patient(context) -> None:
    context.log.info("the first\n  half")
    time.sleep(0.5)


@dg.op(ins={"after": dg.In(dg.Nothing)})
def broken() -> None:
    raise dg.Failure("no")


@dg.job
def steps() -> None:
    broken(patient(quick()))


def shown(out: io.StringIO, **options: Any) -> tuple[RunProgress, str]:
    progress, run_id = RunProgress(out, **options), str(uuid.uuid4())
    with dg.DagsterInstance.ephemeral() as instance, progress:
        instance.add_event_listener(run_id, progress.on_event)
        steps.execute_in_process(
            instance=instance,
            run_id=run_id,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    return progress, out.getvalue()


def test_a_pipe_gets_a_line_for_each_end_and_for_a_long_step() -> None:
    progress, text = shown(io.StringIO(), interval=0.2)
    lines = text.splitlines()
    lines = [line for line in lines if "preparing" not in line]
    assert re.fullmatch(r"  quick {43}   \d\.\d s", lines[0])
    assert lines[1] == "  patient ... 0 s  the first half"
    assert re.fullmatch(r"  patient {41}   \d\.\d s", lines[-2])
    assert lines[-1] == f"  {'broken':<48}failed"
    assert progress.finished == ["quick", "patient"] and progress.interrupted is None


def test_a_short_step_has_one_line_in_a_pipe() -> None:
    assert shown(io.StringIO())[1].count("patient") == 1


def test_a_terminal_shows_the_running_step_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    text = shown(Terminal(), interval=0.1)[1]
    assert "\r\x1b[K  patient ... 0 s  the first half\r\x1b[K" in text
    visible = [re.split(r"\r\x1b\[K", line)[-1].split()[0] for line in text.split("\n")[:-1]]
    assert visible == ["quick", "patient", "broken"]
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in shown(Terminal())[1]


def test_a_closed_pipe_does_not_stop_the_run() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    assert shown(Closed(), interval=0.1)[0].finished == ["quick", "patient"]
