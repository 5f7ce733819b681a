"""What the watch costs a run: lines of metrics and ticks of the sensor `alerts`, against the same run without them.

Pairs of runs of a small platform, each in a fresh home, in alternating order. With the watch, the run writes a line for
each step and asset (`python_logs` in configs/dagster.yaml), and the sensor is evaluated every 30 s while it goes on and
once after it, with a receiver of webhooks on loopback. Two figures of processor time: the share that lines and ticks
took of the run that had them, which is exact, and the difference within each pair, which varies by several percent on a
machine that does other things too. Limit: 3 % for the share.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import yaml

BOUND, PAIRS, TICK_SECONDS = 0.03, 5, 30.0

SETTINGS = {
    "BRIDGE_ASSETS_DATA__SOURCE": "sample",
    "BRIDGE_ASSETS_DATA__SAMPLE__STRUCTURES": "900",
    "BRIDGE_ASSETS_DATA__SAMPLE__FIRST_YEAR": "2009",
    "BRIDGE_ASSETS_DATA__SAMPLE__LAST_YEAR": "2018",
    "BRIDGE_ASSETS_MODEL__FOREST__TREES": "30",
    "BRIDGE_ASSETS_MODEL__FOREST__DEPTH": "6",
    "BRIDGE_ASSETS_MODEL__SPLIT__HOLDOUT_YEARS": "3",
    "BRIDGE_ASSETS_MODEL__GATE__HOLDOUT_INSPECTIONS": "50",
    "BRIDGE_ASSETS_MODEL__GATE__HOLDOUT_FALLS": "5",
    "BRIDGE_ASSETS_MODEL__GATE__AUC_GAIN": "-0.5",
    "BRIDGE_ASSETS_MODEL__GATE__BRIER_GAIN": "-0.5",
    "BRIDGE_ASSETS_MODEL__GATE__CALIBRATION_ERROR": "0.5",
}


#: Runs the command line, and writes how long the handler of the lines took, in seconds of its threads' processor time.
_RUN = """
import atexit, os, sys, time
from bridge_assets.metrics.pipeline_metrics import PipelineMetricsLogger
from bridge_assets.cli import main
emit, spent = PipelineMetricsLogger.emit, [0.0]

def timed(self, record):
    began = time.thread_time()
    emit(self, record)
    spent[0] += time.thread_time() - began

PipelineMetricsLogger.emit = timed
path = sys.argv.pop(1)
atexit.register(lambda: open(path, "w").write(str(spent[0])))
main()
"""


@dataclass(frozen=True)
class Cost:
    """Processor time in seconds of a run, and of its lines and ticks."""

    run: float
    lines: float
    ticks: float

    @property
    def share(self) -> float:
        return (self.lines + self.ticks) / (self.run - self.lines)


def main() -> None:
    pairs = int(os.environ.get("BRIDGE_ASSETS_PAIRS", str(PAIRS)))
    shares, differences = [], []
    with tempfile.TemporaryDirectory() as folder, _receiver() as address:
        configs = _configs(Path(folder))
        for number in range(pairs):
            order = (True, False) if number % 2 else (False, True)
            took = {watched: _run(Path(folder), configs[watched], address if watched else "") for watched in order}
            watched, plain = took[True], took[False]
            shares.append(watched.share)
            differences.append((watched.run + watched.ticks) / plain.run - 1)
            print(
                f"pair {number + 1}: {plain.run:.1f} s without, {watched.run:.1f} s with, of which lines "
                f"{watched.lines:.2f} s; ticks {watched.ticks:.2f} s: share {shares[-1]:.1%}, "
                f"difference {differences[-1]:+.1%}",
                flush=True,
            )
    share, difference = statistics.median(shares), statistics.median(differences)
    print(f"\nshare: median {share:.1%} ({min(shares):.1%} to {max(shares):.1%})")
    print(f"difference: median {difference:+.1%} ({min(differences):+.1%} to {max(differences):+.1%})")
    print(f"limit {BOUND:.0%}: {'kept' if share <= BOUND else 'exceeded'}")


def _configs(folder: Path) -> dict[bool, Path]:
    """The configuration files with and without the lines of metrics."""
    source, found = Path(__file__).parents[1] / "configs", {}
    for watched in (True, False):
        found[watched] = Path(shutil.copytree(source, folder / f"project-{watched}" / "configs"))
        path = found[watched] / "dagster.yaml"
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not watched:
            del values["python_logs"]
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return found


def _run(folder: Path, configs: Path, address: str) -> Cost:
    """The cost of one run of everything, with ticks meanwhile if there is an address."""
    home = Path(tempfile.mkdtemp(dir=folder))
    variables = {**SETTINGS, "BRIDGE_ASSETS_DATA__HOME": str(home), "BRIDGE_ASSETS_CONFIGS": str(configs)}
    spent = home.parent / f"{home.name}.seconds"
    command = [sys.executable, "-c", _RUN, str(spent), "run"]
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"} | variables
    log = (home.parent / f"{home.name}.log").open("w+", encoding="utf-8")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    ticks, cursor, due = 0.0, None, time.monotonic() + TICK_SECONDS
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if address and time.monotonic() >= due:
            due += TICK_SECONDS
            seconds, cursor = _tick(home, variables, address, cursor)
            ticks += seconds
        time.sleep(0.2)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        log.seek(0)
        sys.exit(f"the run failed with {process.returncode}: {' '.join(command)}\n{log.read()[-3000:]}")
    if address:
        ticks += _tick(home, variables, address, cursor)[0]
    log.close()
    shutil.rmtree(home)
    return Cost(usage.ru_utime + usage.ru_stime, float(spent.read_text()), ticks)


def _tick(home: Path, variables: dict[str, str], address: str, cursor: str | None) -> tuple[float, str | None]:
    """Processor time of one evaluation of the sensor, as in the code server, which has loaded everything before."""
    import dagster as dg

    if not (home / "dagster" / "dagster.yaml").is_file():
        return 0.0, cursor
    os.environ.update({**variables, "SLACK_WEBHOOK_URL": address})
    from bridge_assets.definitions import defs
    from bridge_assets.orchestration.alerts.sensor import send_alerts
    from bridge_assets.orchestration.resources import Platform

    repository = defs.get_repository_def()
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        instance.get_runs(limit=1)
        began = time.process_time()
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"platform": Platform()}, repository_def=repository
        ) as context:
            send_alerts(context)
            return time.process_time() - began, context.cursor


@contextmanager
def _receiver():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/services/benchmark"
        server.shutdown()
