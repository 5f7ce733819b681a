"""Scores with the float16 forest, compared with scikit-learn and ONNX Runtime, all with the same forest.

The forest: 200 trees of depth 14, 40 features whose values are exact in float16, eight classes; then two classes, as
the product serves. It is trained on generated rows once and kept. All predict the probabilities of the same rows
alternately, in one process, after one call each to warm up: scikit-learn with two jobs, ONNX Runtime and the float16
forest with all CPUs. ONNX Runtime runs the forest in two forms: scikit-learn's as exported by skl2onnx, and our export
of the float16 one, which is faster if there are many classes. It predicts a tenth of the rows, 1,000 per call, as
served models are called (all in one call takes as long), and is compared by time per row, because all rows would take
it one minute per round. A ratio is the median over the rounds. On a machine that others use too, look at the ratio of
CPU time as well; that of ONNX Runtime includes the time that its threads wait for each other.

The forest is walked in the way that is faster on this processor (`bridge_assets.models.forest.walks`), as always; where
there are two ways, each is shown. `NUMBA_CPU_NAME=generic python -m benchmarks scoring` shows the plain one, compiled
for any x86-64 processor.

Limits for eight classes: a sixth of scikit-learn's time, a 14th where gathers are fast, and a 25th of ONNX Runtime's
(with fast gathers); one row in less than 150 us; a
file of at most a twelfth of joblib's, compressed a 40th; AUC loss at most 0.0005; largest difference of a probability
0.001.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.interleaved import working_folder

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.models.forest.float16_forest import Float16Forest

ROWS, ONNX_ROWS, ONNX_BLOCK, ROUNDS = 620_000, 62_000, 1000, 5
TREES, DEPTH, TRAINING_ROWS = 200, 14, 45_000

OURS, SKLEARN = "float16 forest", "scikit-learn"
ONNX, PLAIN_ONNX = "ONNX Runtime, our export", "ONNX Runtime, skl2onnx's export"

#: Competitor -> the minimum ratio of its time to ours.
TIMES = {SKLEARN: 6, ONNX: 25, PLAIN_ONNX: 25}

#: Number of different single rows that each predicts in a round; scikit-learn takes tens of milliseconds for one.
SINGLE_ROWS = {SKLEARN: 10, ONNX: 100, OURS: 300}

#: Microseconds.
SINGLE_BOUND = 150

ZSTD_LEVEL = 19


def main() -> None:
    from bridge_assets.models.forest import walks

    print(f"Processor: {walks.processor()}. Ways to walk a tree: {', '.join(walks.WALKS_TO_TRY)}\n")
    for classes in (8, 2):
        print(f"### {classes} classes\n", flush=True)
        contest = Contest(working_folder(), classes)
        show_batch(contest)
        show_single(contest)
        show_files(contest)
        show_loss(contest)


@dataclass(frozen=True)
class Contest:
    """One forest in its three forms, and the rows to score.

    Attributes
    ----------
    folder : Path
        The trained forest and its forms are kept here.
    classes : int
    rows, onnx_rows, trees, training_rows, rounds : int
    """

    folder: Path
    classes: int
    rows: int = ROWS
    onnx_rows: int = ONNX_ROWS
    trees: int = TREES
    training_rows: int = TRAINING_ROWS
    rounds: int = ROUNDS

    def file(self, suffix: str) -> Path:
        return self.folder / f"scoring_{self.trees}_trees_{self.training_rows}_rows_{self.classes}_classes{suffix}"

    @cached_property
    def model(self) -> RandomForestClassifier:
        from sklearn.ensemble import RandomForestClassifier

        from bridge_assets.models.training.skops_file import load_model, save_model

        path = self.file(".skops")
        if not path.exists():
            X = generated_rows(self.training_rows, seed=1)
            model = RandomForestClassifier(self.trees, max_depth=DEPTH, n_jobs=2, random_state=0)
            save_model(model.fit(X, generated_labels(X, self.classes, seed=2)), path)
        return load_model(path)

    @cached_property
    def forest(self) -> Float16Forest:
        from bridge_assets.models.forest.float16_forest import Float16Forest
        from bridge_assets.models.forest.quantize import quantize_rf

        return Float16Forest.load(quantize_rf(self.model).save(self.file(".safetensors")))

    @cached_property
    def onnx(self) -> Path:
        from bridge_assets.models.forest.onnx_export import export_to_onnx

        return export_to_onnx(self.forest, self.X[:100], self.file(".onnx"))

    @cached_property
    def plain_onnx(self) -> Path:
        from skl2onnx import to_onnx

        path = self.file(".skl2onnx.onnx")
        if not path.exists():
            exported: Any = to_onnx(self.model, self.X[:1], options={"zipmap": False})
            path.write_bytes(exported.SerializeToString())
        return path

    @cached_property
    def X(self) -> np.ndarray:
        return generated_rows(self.rows, seed=3)

    def session(self, path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda X: np.concatenate(
            [
                np.asarray(session.run(["probabilities"], {"X": X[start : start + ONNX_BLOCK]})[0])
                for start in range(0, len(X), ONNX_BLOCK)
            ]
        )


def generated_rows(count: int, seed: int) -> np.ndarray:
    """Rows with 40 features of the kinds in real data: continuous, few values, or 0 and 1; exact in float16."""
    from bridge_assets.models.forest.quantize import to_float16_grid

    random = np.random.default_rng(seed)
    kinds = random.normal(size=(count, 16)), random.integers(-3, 7, (count, 12)) / 2.3, random.random((count, 12)) < 0.3
    return to_float16_grid(np.column_stack(kinds))


def generated_labels(X: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Equally frequent classes from a noisy score."""
    score = X[:, :8] @ np.linspace(1, 0.2, 8) + X[:, 16:22] @ np.linspace(0.6, 0.1, 6) + X[:, 28]
    score += 0.8 * X[:, 0] * X[:, 29] + np.random.default_rng(seed).normal(size=len(X))
    return np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))


def in_turn(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Wall time and CPU time in seconds of each call in each round, after one warm-up call each."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            clock, processors = time.perf_counter(), time.process_time()
            call()
            if number:
                seconds[name].append((time.perf_counter() - clock, time.process_time() - processors))
    return seconds


def show_batch(contest: Contest) -> None:
    from bridge_assets.models.forest.walks import known_walk

    X, part, model, forest = contest.X, contest.X[: contest.onnx_rows], contest.model, contest.forest
    by_onnx, by_plain_onnx = contest.session(contest.onnx, 0), contest.session(contest.plain_onnx, 0)
    model.set_params(n_jobs=2)
    calls = {
        SKLEARN: lambda: model.predict_proba(X),
        ONNX: lambda: by_onnx(part),
        PLAIN_ONNX: lambda: by_plain_onnx(part),
        OURS: lambda: forest.predict_proba(X),
        f"{OURS}, one thread": lambda: forest.predict_proba(X, threads=1),
    } | calls_by_walk(forest, X)
    rows = {name: len(part) if name in (ONNX, PLAIN_ONNX) else len(X) for name in calls}
    seconds = in_turn(calls, contest.rounds)
    each = {name: np.array(measured) / rows[name] for name, measured in seconds.items()}
    print(f"Walk in use: {known_walk()}\n")
    print("| batch | rows | us per row | CPU us per row | its time / ours | in each round | CPU / ours |")
    print("|---|---:|---:|---:|---:|---|---:|")
    for name, measured in each.items():
        clock, processors = np.median(measured, axis=0) * 1e6
        ratios = measured / each[OURS]
        ratio, processor_ratio = np.median(ratios, axis=0)
        bound = f" (limit: {TIMES[name]})" if name in TIMES else ""
        print(
            f"| {name} | {rows[name]:,} | {clock:.2f} | {processors:.2f} | {ratio:.1f}{bound} | "
            f"{', '.join(f'{each_round:.1f}' for each_round in ratios[:, 0])} | {processor_ratio:.1f} |"
        )


def calls_by_walk(forest: Float16Forest, X: np.ndarray) -> dict[str, Callable[[], Any]]:
    """A call for each way to walk a tree, if there are several."""
    from bridge_assets.models.forest import kernels, walks

    if len(walks.WALKS_TO_TRY) == 1:
        return {}
    return {
        f"{OURS}, {walk} walk": lambda walk=walk: kernels.mean_leaf_values(forest.packed, X, walk=walk)
        for walk in walks.WALKS_TO_TRY
    }


def show_single(contest: Contest) -> None:
    model, forest, by_onnx = contest.model, contest.forest, contest.session(contest.onnx, 1)
    model.set_params(n_jobs=1)  # faster for one row
    rows = contest.X[: sum(SINGLE_ROWS.values())]
    calls = {SKLEARN: model.predict_proba, ONNX: by_onnx, OURS: forest.predict_proba}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(contest.rounds + 1):
        for name, predict in calls.items():
            for row in range(SINGLE_ROWS[name]):
                started = time.perf_counter()
                predict(rows[row : row + 1])
                if number:
                    seconds[name].append(time.perf_counter() - started)
    print("\n| one row | calls | median us | 90 % within us |\n|---|---:|---:|---:|")
    for name, measured in seconds.items():
        bound = f" (limit: {SINGLE_BOUND})" if name == OURS else ""
        within = statistics.quantiles(measured, n=10)[-1]
        print(f"| {name} | {len(measured)} | {statistics.median(measured) * 1e6:.0f}{bound} | {within * 1e6:.0f} |")


def show_files(contest: Contest) -> None:
    import joblib
    import pyarrow as pa

    content = contest.file(".safetensors").read_bytes()
    path = contest.file(".joblib")
    joblib.dump(contest.model, path)
    whole = path.stat().st_size
    path.unlink()
    sizes = {
        "scikit-learn, joblib": whole,
        "ONNX, skl2onnx's export": contest.plain_onnx.stat().st_size,
        "ONNX": contest.onnx.stat().st_size,
        OURS: len(content),
        f"{OURS}, zstd (level {ZSTD_LEVEL})": len(pa.Codec("zstd", ZSTD_LEVEL).compress(content, asbytes=True)),
    }
    print("\n| file | MB | joblib's size / its size |\n|---|---:|---:|")
    for (name, size), bound in zip(sizes.items(), ("", "", "", " (limit: 12)", " (limit: 40)"), strict=True):
        print(f"| {name} | {size / 1e6:.1f} | {whole / size:.1f}{bound} |")


def show_loss(contest: Contest) -> None:
    from sklearn.metrics import roc_auc_score

    contest.model.set_params(n_jobs=2)
    before, after = np.asarray(contest.model.predict_proba(contest.X)), contest.forest.predict_proba(contest.X)
    exported = contest.session(contest.onnx, 0)(contest.X[: contest.onnx_rows])
    labels = generated_labels(contest.X, contest.classes, seed=4)
    auc = [
        np.mean([roc_auc_score(labels == label, found[:, label]) for label in range(contest.classes)])
        for found in (before, after)
    ]
    print(f"\nAUC (mean over the classes) {auc[0]:.6f}, in float16 {auc[1]:.6f}: loss {auc[0] - auc[1]:.1e}")
    print(f"Largest difference of a probability from scikit-learn: {np.abs(before - after).max():.6f}")
    print(f"Largest difference of a probability from ONNX: {np.abs(exported - after[: len(exported)]).max():.2e}\n")
