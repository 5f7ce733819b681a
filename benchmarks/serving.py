"""Serves one model from a bundle (`container.py`), compared with `mlflow models serve` with the same ONNX file.

Two models with 200 trees and 40 features, trained on generated rows: one of the size that the sample inventory gives
(depth 12, 40 rows in a leaf, 25,000 rows), and the forest with two classes from `scoring`, of the size that national
files give. In each round both servers are started alternately, as a user would start them: ours from the archive with
its digest checked, MLflow's from the folder that `mlflow.onnx.save_model` wrote, with `--env-manager local`. A cold
start is the time from starting the process to the first correct response, polled every 10 ms. Then 100 requests with 32
rows follow. Memory is the resident set after them, of all processes of the command (MLflow has two); the memory of the
process that responds is listed separately.

Limits: a third of MLflow's start time, and a third of its memory.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from packaging.requirements import Requirement

from benchmarks.interleaved import working_folder
from benchmarks.scoring import Contest, generated_labels, generated_rows

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.registry.model_version import ModelVersion

OURS, MLFLOW = "container.py", "mlflow models serve"

#: Libraries that each server needs to respond, in addition to Python.
LIBRARIES = {
    OURS: ("numpy", "polars", "onnxruntime", "starlette", "uvicorn"),
    MLFLOW: ("mlflow", "onnx", "onnxruntime"),
}

#: Measured for each start -> the largest allowed ratio to MLflow's figure.
FIGURES = {"start": 1 / 3, "request": None, "memory": 1 / 3, "answering": None}

ROUNDS, REQUESTS, ROWS = 3, 100, 32

_STARTS_IN_SECONDS = 120


@dataclass(frozen=True)
class Contender:
    """A server: how to start it on a port, what to request, and where the probabilities are in its response."""

    command: Callable[[int], list[str]]
    environ: dict[str, str]
    route: str
    request: dict[str, Any]
    probabilities: Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Run:
    """One start of a server: seconds to the first correct response, milliseconds per request after that, MB after all
    requests, and MB of only the process that responds.
    """

    start: float
    request: float
    memory: float
    answering: float


def main() -> None:
    folder = working_folder()
    for name, forest in {"small": small_forest(folder), "national": Contest(folder, classes=2).forest}.items():
        print(f"### {name}\n", flush=True)
        compare(forest, folder / f"serving_{name}")


def compare(forest: Float16Forest, folder: Path) -> None:
    """Print the time and memory that each server takes to serve a forest."""
    from bridge_assets.deployment.core.bundle import bundle_of

    shutil.rmtree(folder, ignore_errors=True)
    candidate = made_candidate(forest, folder / "models")
    bundle = bundle_of(candidate)
    archive, model = bundle.write(folder / "bundle.tar.gz"), saved_for_mlflow(candidate.file("model.onnx"), folder)
    # Rows without missing values: MLflow's server does not fill them in, because it has only the graph.
    whole = [row for row in zip(bundle.probe.rows, bundle.probe.answers, strict=True) if None not in row[0]][:ROWS]
    contenders = {
        MLFLOW: Contender(
            lambda port: [
                *(str(Path(sys.executable).parent / "mlflow"), "models", "serve", "--model-uri", str(model)),
                *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)),
            ],
            # MLflow starts `uvicorn` from the PATH.
            {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            "/invocations",
            {"inputs": {"X": [row for row, _ in whole]}},
            lambda response: np.asarray(response["predictions"]["probabilities"])[:, 1],
        ),
        OURS: Contender(
            lambda port: [sys.executable, str(Path("bridge_assets/serve/container.py").absolute())],
            {"BRIDGE_ASSETS_PACKAGE": str(archive), "BRIDGE_ASSETS_PACKAGE_SHA256": bundle.digest},
            "/predict",
            {"instances": [dict(zip(bundle.probe.features, row, strict=True)) for row, _ in whole]},
            lambda response: response["predictions"],
        ),
    }
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for number in range(ROUNDS + 1):
        for name, contender in contenders.items():
            run = measured(contender, np.array([answer for _, answer in whole]), folder / "serving.log")
            if number:  # the first round reads the libraries from disk
                runs[name].append(run)
    show_runs(runs)
    show_sizes(archive, model)
    print()


def small_forest(folder: Path) -> Float16Forest:
    """A forest of the size that the sample inventory gives; trained once and kept."""
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.forest.quantize import quantize_rf

    path = folder / "serving_small.safetensors"
    if not path.exists():
        quantize_rf(trained_small()).save(path)
    return Float16Forest.load(path)


def trained_small() -> RandomForestClassifier:
    """`small_forest` before it is quantized."""
    from sklearn.ensemble import RandomForestClassifier

    X = generated_rows(25_000, seed=1)
    model = RandomForestClassifier(200, max_depth=12, min_samples_leaf=40, n_jobs=2, random_state=0)
    return model.fit(X, generated_labels(X, 2, seed=2))


def made_candidate(forest: Float16Forest, models: Path) -> ModelVersion:
    """A model version with this forest, whose natural units are the model's scale."""
    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.models.forest.onnx_export import export_to_onnx
    from bridge_assets.registry.model_version import create_or_resume
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor
    from bridge_assets.runtime.probe import write_probe

    made_from = {"features_digest": "f" * 12, "training_years": [2010, 2020]}
    candidate = create_or_resume(models, "a" * 64, {"benchmark": "serving"}, made_from)
    rows = generated_rows(ROWS * 2, seed=5)
    zeros, ones = (0.0,) * rows.shape[1], (1.0,) * rows.shape[1]
    normalization = Normalization(forest.features, zeros, zeros, ones)
    normalization.save(candidate.file("normalization.json"))
    forest.save(candidate.file("forest.safetensors"))
    candidate.record_stage("quantized_model")
    export_to_onnx(forest, rows, candidate.file("model.onnx"))
    predictor = OnnxPredictor(candidate.file("model.onnx"))
    write_probe(predictor.predict_proba, normalization, rows, candidate.file("probe.json"))
    candidate.record_stage("onnx_model")
    return candidate


def saved_for_mlflow(path: Path, folder: Path) -> Path:
    """The same graph as a model of MLflow's own ONNX flavour, with its signature."""
    import onnx

    from bridge_assets.registry.mlflow_run import import_mlflow

    mlflow = import_mlflow()
    model, saved = onnx.load(path), folder / "serving_mlflow"
    shutil.rmtree(saved, ignore_errors=True)
    features = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    signature = mlflow.models.ModelSignature(
        inputs=mlflow.types.Schema([mlflow.types.TensorSpec(np.dtype(np.float32), (-1, features), "X")])
    )
    mlflow.onnx.save_model(model, str(saved), signature=signature, onnx_execution_providers=["CPUExecutionProvider"])
    return saved


def measured(contender: Contender, answers: np.ndarray, log: Path) -> Run:
    """Start a server, wait for the first correct response, send more requests, read its memory, and stop it.

    Raises
    ------
    RuntimeError
        If it does not respond, or responds with other predictions.
    """
    import httpx

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server_settings = {
        "BRIDGE_ASSETS_PORT": str(port),
        "BRIDGE_ASSETS_HOST": "127.0.0.1",
        "BRIDGE_ASSETS_CLOSING_SECONDS": "0",
    }
    url = f"http://127.0.0.1:{port}{contender.route}"
    # Files that a killed server unpacked are deleted with this folder.
    scratch = Path(tempfile.mkdtemp(dir=log.parent))
    environ = {**os.environ, **server_settings, **contender.environ, "TMPDIR": str(scratch)}
    with log.open("wb") as out:
        began = time.perf_counter()
        server = subprocess.Popen(contender.command(port), env=environ, stdout=out, stderr=out, start_new_session=True)
    try:
        with httpx.Client(timeout=60) as client:
            while True:
                try:
                    reply = client.post(url, json=contender.request)
                    break
                except httpx.TransportError:
                    if server.poll() is not None or time.perf_counter() - began > _STARTS_IN_SECONDS:
                        raise RuntimeError(f"{contender.command(port)} does not respond, see {log}") from None
                    time.sleep(0.01)
            found = np.asarray(contender.probabilities(reply.raise_for_status().json()))
            if not np.allclose(found, answers, rtol=0, atol=1e-6):
                raise RuntimeError(f"{contender.command(port)} returns other predictions, see {log}")
            started = time.perf_counter() - began
            seconds = []
            for _ in range(REQUESTS):
                sent = time.perf_counter()
                client.post(url, json=contender.request).raise_for_status()
                seconds.append(time.perf_counter() - sent)
            memory = [resident_megabytes(process) for process in session(server.pid)]
            # The process that responds was started last.
            return Run(started, statistics.median(seconds) * 1e3, sum(memory), memory[-1])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def session(leader: int) -> list[int]:
    """The processes of a server: those of the session that it was started in."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getsid(int(path.name)) == leader:
                found.append(int(path.name))
    return sorted(found)


def resident_megabytes(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


def show_runs(runs: dict[str, list[Run]]) -> None:
    print("| server | start s | in each round | ms per request | MB | responding MB |\n|---|---:|---|---:|---:|---:|")
    for name, each in runs.items():
        start, request, memory, alone = (statistics.median(getattr(run, what) for run in each) for what in FIGURES)
        in_turn = ", ".join(f"{run.start:.2f}" for run in each)
        print(f"| {name} | {start:.2f} | {in_turn} | {request:.1f} | {memory:.0f} | {alone:.0f} |")
    pairs = list(zip(runs[OURS], runs[MLFLOW], strict=True))
    for what, bound in FIGURES.items():
        ratio = statistics.median(getattr(ours, what) / getattr(theirs, what) for ours, theirs in pairs)
        verdict = f"; limit {bound:.2f}: {'kept' if ratio <= bound else 'exceeded'}" if bound else ""
        print(f"\n{what}: {ratio:.2f} of {MLFLOW}'s{verdict}")


def show_sizes(archive: Path, model: Path) -> None:
    packages = {OURS: [archive], MLFLOW: [path for path in model.rglob("*") if path.is_file()]}
    print("\n| server | package MB | installed libraries it needs, MB |\n|---|---:|---:|")
    for name, files in packages.items():
        size = sum(path.stat().st_size for path in files)
        print(f"| {name} | {size / 1e6:.1f} | {installed_megabytes(LIBRARIES[name]):.0f} |")


def installed_megabytes(libraries: tuple[str, ...]) -> float:
    """Size of libraries and of all their dependencies, as installed here."""
    todo, size, seen = list(libraries), 0.0, set()
    while todo:
        library = importlib.metadata.distribution(todo.pop())
        if library.name in seen:
            continue
        seen.add(library.name)
        size += sum(file.size or 0 for file in library.files or ())
        needs = map(Requirement, library.requires or [])
        todo += [each.name for each in needs if not each.marker or each.marker.evaluate({"extra": ""})]
    return size / 1e6
