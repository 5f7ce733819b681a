"""What the watch costs a run: lines of metrics and ticks of the sensor `alerts`, against the same run without them.

Pairs of runs of a small platform, each in a fresh home, in alternating order. With the watch, the run writes a line for
each step and asset (`python_logs` in configs/dagster.yaml), and the sensor is evaluated every 30 s while it goes on and
once after it, with a receiver of webhooks on loopback. Compared is the processor time of the run's processes and of the
ticks: on a machine that does other things too, it varies less than the time on the clock. Limit: 3 %.
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


def main() -> None:
    pairs = int(os.environ.get("BRIDGE_ASSETS_PAIRS", str(PAIRS)))
    ratios = []
    with tempfile.TemporaryDirectory() as folder, _receiver() as address:
        configs = _configs(Path(folder))
        for number in range(pairs):
            order = (True, False) if number % 2 else (False, True)
            took = {watched: _run(Path(folder), configs[watched], address if watched else "") for watched in order}
            (with_run, with_ticks), (without, _) = took[True], took[False]
            ratios.append((with_run + with_ticks) / without - 1)
            print(
                f"pair {number + 1}: {without:.1f} s without, {with_run:.1f} s with, ticks {with_ticks:.2f} s: "
                f"{ratios[-1]:+.1%}",
                flush=True,
            )
    cost = statistics.median(ratios)
    spread = f"{min(ratios):+.1%} to {max(ratios):+.1%}"
    print(f"\nmedian {cost:+.1%} ({spread}); limit {BOUND:.0%}: {'kept' if cost <= BOUND else 'exceeded'}")


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


def _run(folder: Path, configs: Path, address: str) -> tuple[float, float]:
    """Processor time in seconds of one run of everything, and of the ticks meanwhile (with an address)."""
    home = Path(tempfile.mkdtemp(dir=folder))
    variables = {**SETTINGS, "BRIDGE_ASSETS_DATA__HOME": str(home), "BRIDGE_ASSETS_CONFIGS": str(configs)}
    command = [sys.executable, "-c", "from bridge_assets.cli import main; main()", "run"]
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
    return usage.ru_utime + usage.ru_stime, ticks


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
