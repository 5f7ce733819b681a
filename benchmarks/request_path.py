"""Requests of one row per second: our app, `mlflow models serve`, and a bare handler with the same predictor.

The model is the small one of `serving`: 200 trees, depth 12, 40 features. Every server is started once, one process
each, as a user would start it. Then the load goes round: for each number of connections (1, 16, 64) each server in turn
for some seconds, and all of that again in each round, so that a change of the machine's load affects all of them. Each
figure is the median of the rounds; errors are added up. Memory is the resident set of all processes of the command
after the load.

`OTHERS` takes further servers: functions from the packed model to a name and a `Contender` of `serving`.

Limits: 100 times the requests of MLflow's scikit-learn flavour, 8 times those of its ONNX flavour and 70 % of the bare
handler's at 16 connections, and a 99th percentile under 5 ms there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.interleaved import working_folder
from benchmarks.load import Load, generator, load
from benchmarks.ray_server import ray_server
from benchmarks.serving import (
    Contender,
    made_candidate,
    resident_megabytes,
    saved_for_mlflow,
    session,
    small_forest,
    trained_small,
)

if TYPE_CHECKING:
    from bridge_assets.deployment.core.bundle import Bundle

OURS, BARE = "bridge-assets", "bare handler"
SKLEARN, ONNX = "mlflow, scikit-learn", "mlflow, ONNX"

CONNECTIONS = (1, 16, 64)
ROUNDS, SECONDS = int(os.environ.get("BRIDGE_ASSETS_ROUNDS", "3")), float(os.environ.get("BRIDGE_ASSETS_SECONDS", "5"))

#: Server -> least multiple of its requests per second that ours has to reach at 16 connections.
LIMITS = {SKLEARN: 100.0, ONNX: 8.0, BARE: 0.7}
P99_LIMIT = 5.0

#: Largest difference of a probability: the scikit-learn model's thresholds and leaves are not rounded to float16.
_TOLERANCE = 5e-3


@dataclass(frozen=True)
class PackedModel:
    """The model that every server answers from.

    Attributes
    ----------
    package : Path
        Folder of the unpacked bundle.
    archive : Path
    bundle : Bundle
    row : dict
        The row of each request, feature -> value, without a missing one.
    answer : float
        Its probability.
    """

    package: Path
    archive: Path
    bundle: Bundle
    row: dict[str, float]
    answer: float


#: Further servers for the same run: packed model -> name and server.
OTHERS: list[Callable[[PackedModel], tuple[str, Contender]]] = [ray_server]


def main() -> None:
    folder = working_folder() / "request_path"
    shutil.rmtree(folder, ignore_errors=True)
    model, servers = contenders(folder)
    runs: dict[tuple[str, int], list[Load]] = {}
    with ExitStack() as stack:
        urls = {}
        for name, contender in servers.items():
            urls[name], process = stack.enter_context(started(contender, model.answer, folder / "server.log"))
            servers[name] = contender, process
        for _ in range(ROUNDS):
            for connections in CONNECTIONS:
                for name, (contender, _) in servers.items():
                    body = json.dumps(contender.request).encode()
                    result = load(urls[name], body, connections, SECONDS)
                    runs.setdefault((name, connections), []).append(result)
        memory = {
            name: sum(resident_megabytes(each) for each in session(process)) for name, (_, process) in servers.items()
        }
    show(runs, memory)


def contenders(folder: Path) -> tuple[PackedModel, dict[str, Any]]:
    """The packed model, and the servers by name."""
    from bridge_assets.deployment.core.bundle import bundle_of

    candidate = made_candidate(small_forest(working_folder()), folder / "models")
    bundle = bundle_of(candidate)
    row, answer = next(
        pair for pair in zip(bundle.probe.rows, bundle.probe.answers, strict=True) if None not in pair[0]
    )
    named: dict[str, Any] = dict(zip(bundle.probe.features, row, strict=True))
    package, archive = bundle.unpack(folder / "package"), bundle.write(folder / "bundle.tar.gz")
    model = PackedModel(package, archive, bundle, named, answer)
    here = Path(sys.executable).parent
    environ = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{here}:{os.environ['PATH']}"}

    def mlflow(saved: Path, request: dict[str, Any], probability: Callable[[Any], Any]) -> Contender:
        def command(port: int) -> list[str]:
            options = ["--model-uri", str(saved), "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
            return [str(here / "mlflow"), "models", "serve", *options]

        return Contender(command, environ, "/invocations", request, probability)

    servers: dict[str, Any] = {
        SKLEARN: mlflow(
            saved_sklearn(folder), {"inputs": [list(row)]}, lambda reply: np.asarray(reply["predictions"])[:, 1]
        ),
        ONNX: mlflow(
            saved_for_mlflow(candidate.file("model.onnx"), folder),
            {"inputs": {"X": [list(row)]}},
            lambda reply: np.asarray(reply["predictions"]["probabilities"])[:, 1],
        ),
        BARE: Contender(
            lambda port: [sys.executable, "-m", "benchmarks.bare_handler", str(package), str(port)],
            {},
            "/predict",
            {"instances": [named]},
            lambda reply: reply["predictions"],
        ),
        OURS: Contender(
            lambda port: [sys.executable, str(Path("bridge_assets/serve/container.py").absolute())],
            {"BRIDGE_ASSETS_PACKAGE": str(archive), "BRIDGE_ASSETS_PACKAGE_SHA256": bundle.digest},
            "/predict",
            {"instances": [named]},
            lambda reply: reply["predictions"],
        ),
    }
    return model, servers | dict(other(model) for other in OTHERS)


def saved_sklearn(folder: Path) -> Path:
    """The model before quantization, in MLflow's scikit-learn flavour, which is to answer with probabilities."""
    from bridge_assets.registry.mlflow_run import import_mlflow

    mlflow, saved = import_mlflow(), folder / "sklearn"
    mlflow.sklearn.save_model(
        trained_small(), str(saved), pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle"
    )
    return saved


@contextmanager
def started(contender: Contender, answer: float, log: Path) -> Iterator[tuple[str, int]]:
    """Start a server and check its answer; its URL and process id.

    Raises
    ------
    RuntimeError
        If it does not respond within two minutes, or with another probability.
    """
    import httpx

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "BRIDGE_ASSETS_PORT": str(port),
        "BRIDGE_ASSETS_HOST": "127.0.0.1",
        "BRIDGE_ASSETS_CLOSING_SECONDS": "0",
    }
    url = f"http://127.0.0.1:{port}{contender.route}"
    with log.open("ab") as out:
        server = subprocess.Popen(
            contender.command(port),
            env={**os.environ, **settings, **contender.environ},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        until = time.perf_counter() + 120
        while True:
            try:
                reply = httpx.post(url, json=contender.request, timeout=60).raise_for_status().json()
                break
            except httpx.HTTPError:  # a proxy answers before what is behind it does
                if server.poll() is not None or time.perf_counter() > until:
                    raise RuntimeError(f"{contender.command(port)} does not respond, see {log}") from None
                time.sleep(0.1)
        if not np.allclose(contender.probabilities(reply), [answer], rtol=0, atol=_TOLERANCE):
            raise RuntimeError(f"{contender.command(port)} returns other predictions: {reply}")
        yield url, server.pid
    finally:
        # Asked first: HAProxy would outlive a command that is killed.
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def show(runs: dict[tuple[str, int], list[Load]], memory: dict[str, float]) -> None:
    """Print the table, and whether the limits are kept."""
    print(f"{processor()}, {os.cpu_count()} processors; load by {generator()}, {ROUNDS} rounds of {SECONDS:g} s\n")
    print("| server | connections | requests/s | each round | p50 ms | p99 ms | errors | MB |")
    print("|---|---:|---:|---|---:|---:|---:|---:|")
    median: dict[tuple[str, int], Load] = {}
    for (name, connections), each in runs.items():
        figures = {what: statistics.median(getattr(run, what) for run in each) for what in ("per_second", "p50", "p99")}
        found = median[name, connections] = Load(**figures, errors=sum(run.errors for run in each))
        rounds = ", ".join(f"{run.per_second:,.0f}" for run in each)
        print(
            f"| {name} | {connections} | {found.per_second:,.0f} | {rounds} | {found.p50:.2f} | {found.p99:.2f} | "
            f"{found.errors} | {memory[name]:.0f} |"
        )
    ours = median[OURS, 16]
    for name, least in LIMITS.items():
        # Of each round: both had the same machine.
        pairs = zip(runs[OURS, 16], runs[name, 16], strict=True)
        ratio = statistics.median(mine.per_second / theirs.per_second for mine, theirs in pairs)
        print(f"\n{ratio:.2f} times {name}; limit {least:g}: {'kept' if ratio >= least else 'missed'}")
    print(f"\np99 {ours.p99:.2f} ms; limit {P99_LIMIT:g}: {'kept' if ours.p99 < P99_LIMIT else 'exceeded'}")


def processor() -> str:
    """The name of this machine's processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown processor"


if __name__ == "__main__":
    main()
