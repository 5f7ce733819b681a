"""The metrics of the served app, in one process and in several that share a folder."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from bridge_assets.metrics.prometheus_metrics import (
    MULTIPROCESS_FOLDER,
    PREDICTION_BUCKETS,
    PrometheusMetrics,
    _observe_many,
)
from bridge_assets.models.tasks.names import PREDICTION_COLUMNS


def samples(text: str) -> dict[str, float]:
    """`name{label="value",...}` -> value, labels sorted."""
    return {
        sample.name
        + (
            "{" + ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items())) + "}" if sample.labels else ""
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(metrics: PrometheusMetrics) -> dict[str, float]:
    return samples(metrics.exposition()[0].decode())


def test_a_request_is_counted_by_route_and_status():
    metrics = PrometheusMetrics()
    metrics.start_request()
    assert scraped(metrics)["bridge_assets_requests_in_progress"] == 1
    metrics.end_request("/predict", "predict", 200, 0.004)
    for status in (0, 401, 404, 429, 500, 503):
        metrics.start_request()
        metrics.end_request("/predict", "predict", status, 0.3)
    found = scraped(metrics)
    assert found["bridge_assets_requests_in_progress"] == 0
    assert found['bridge_assets_requests_total{purpose="predict",route="/predict",status="200"}'] == 1
    assert found['bridge_assets_request_seconds_bucket{le="0.005",purpose="predict",route="/predict"}'] == 1
    assert found['bridge_assets_request_seconds_count{purpose="predict",route="/predict"}'] == 7
    reasons = ("disconnected", "unauthorized", "invalid", "rate_limit", "internal", "overloaded")
    assert {found[f'bridge_assets_request_errors_total{{purpose="predict",reason="{each}"}}'] for each in reasons} == {
        1
    }


def test_predictions_are_counted_by_the_version_that_made_them():
    metrics = PrometheusMetrics()
    metrics.set_model("7", "m7-abc", "fall_probability")
    metrics.observe_predictions([0.004, 0.05, 0.051, float("nan")], "7", "fall_probability")
    metrics.observe_predictions([], "7", "fall_probability")
    found = scraped(metrics)
    assert found['bridge_assets_fall_probability_bucket{le="0.05",version="7"}'] == 2
    assert found['bridge_assets_fall_probability_count{version="7"}'] == 3
    assert found['bridge_assets_fall_probability_sum{version="7"}'] == pytest.approx(0.105)
    assert (found["bridge_assets_request_rows_count"], found["bridge_assets_request_rows_sum"]) == (2, 4)


def test_a_switch_to_another_version_is_seen():
    metrics = PrometheusMetrics()
    for version in ("7", "8"):
        metrics.set_model(version, f"m{version}", "fall_probability")
    found = scraped(metrics)
    assert found['bridge_assets_model_info{output="fall_probability",slot="m7",version="7"}'] == 0
    assert found['bridge_assets_model_info{output="fall_probability",slot="m8",version="8"}'] == 1


def test_every_task_has_buckets():
    assert PREDICTION_BUCKETS.keys() == set(PREDICTION_COLUMNS.values())


def test_many_observations_at_once_are_the_same_as_each():
    for seed, buckets in enumerate(PREDICTION_BUCKETS.values()):
        drawn = random.Random(seed)
        values = [drawn.uniform(-3, 2) for _ in range(500)] + [*buckets, 99.0]
        one, many = (Histogram("x", "x", buckets=buckets, registry=CollectorRegistry()) for _ in range(2))
        for value in values:
            one.observe(value)
        _observe_many(many, values)
        (first,), (second,) = one.collect(), many.collect()
        counted = [
            {
                (each.name, *each.labels.values()): each.value
                for each in family.samples
                if each.name.endswith(("bucket", "count"))
            }
            for family in (first, second)
        ]
        assert counted[0] == counted[1]
        assert one._sum.get() == pytest.approx(many._sum.get())


def test_threads_lose_no_count():
    metrics = PrometheusMetrics()

    def work() -> None:
        for _ in range(500):
            metrics.start_request()
            metrics.observe_predictions([0.1, 0.2], "7", "fall_probability")
            metrics.end_request("/predict", "predict", 200, 0.001)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = scraped(metrics)
    assert found['bridge_assets_fall_probability_count{version="7"}'] == 8000
    assert found["bridge_assets_requests_in_progress"] == 0


def test_a_scrape_in_open_metrics_is_answered_as_such():
    body, content_type = PrometheusMetrics().exposition("application/openmetrics-text;version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


WORKER = """
import os, signal, sys
from bridge_assets.metrics.prometheus_metrics import PrometheusMetrics
metrics = PrometheusMetrics()
metrics.set_model(sys.argv[1], "m" + sys.argv[1], "fall_probability")
for _ in range(5):
    metrics.start_request()
    metrics.observe_predictions([0.1], sys.argv[1], "fall_probability")
    metrics.end_request("/predict", "predict", 200, 0.001)
metrics.start_request()
print("ready", flush=True)
for line in sys.stdin:
    sys.stdout.write(metrics.exposition()[0].decode() + "\\n# end\\n")
    sys.stdout.flush()
"""


class Worker:
    """A process that has answered five requests and answers a sixth."""

    def __init__(self, folder: Path, version: str) -> None:
        environ = {MULTIPROCESS_FOLDER: str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, version],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def scrape(self) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return samples("".join(iter(self.process.stdout.readline, "# end\n")))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def test_any_of_several_processes_answers_for_all_and_a_killed_one_loses_no_count(tmp_path):
    folder = tmp_path / "made" / "by the first"
    workers = [Worker(folder, version) for version in ("7", "7", "8")]
    requests = 'bridge_assets_requests_total{purpose="predict",route="/predict",status="200"}'
    model = 'bridge_assets_model_info{{output="fall_probability",slot="m{0}",version="{0}"}}'
    try:
        first, last = workers[0].scrape(), workers[2].scrape()
        assert first == last
        assert (first[requests], first["bridge_assets_requests_in_progress"]) == (15, 3)
        assert (first[model.format(7)], first[model.format(8)]) == (1, 1)
        assert first['bridge_assets_fall_probability_count{version="7"}'] == 10
        workers[2].kill()
        # Its id belongs to another process by now.
        for path in folder.glob(f"*_{workers[2].process.pid}.db"):
            path.rename(path.with_name(path.name.replace(str(workers[2].process.pid), str(os.getpid()))))
        (folder / f"{workers[2].process.pid}.lock").rename(folder / f"{os.getpid()}.lock")
        (folder / "counter_1.db").touch()  # a process that was killed as it began
        found = workers[0].scrape()
        assert (found[requests], found["bridge_assets_requests_in_progress"]) == (15, 2)
        assert model.format(8) not in found
        assert found['bridge_assets_fall_probability_count{version="8"}'] == 5
    finally:
        for worker in workers:
            worker.kill()


def test_a_process_with_the_id_of_a_killed_one_has_nothing_in_progress(tmp_path):
    """As in a container, where the server always has the same id."""
    worker = Worker(tmp_path, "7")
    assert worker.scrape()["bridge_assets_requests_in_progress"] == 1
    worker.kill()
    script = (
        "import os, sys\n"
        f"os.getpid = lambda: {worker.process.pid}\n"
        "from bridge_assets.metrics.prometheus_metrics import PrometheusMetrics\n"
        "metrics = PrometheusMetrics()\n"
        "print(metrics.exposition()[0].decode())"
    )
    environ = {MULTIPROCESS_FOLDER: str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    text = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    ).stdout
    found = samples(text)
    assert found["bridge_assets_requests_in_progress"] == 0
    assert found['bridge_assets_requests_total{purpose="predict",route="/predict",status="200"}'] == 5


FORK = """
import os
from bridge_assets.metrics.prometheus_metrics import PrometheusMetrics
metrics = PrometheusMetrics()
metrics.start_request()
to_child, from_parent = os.pipe()
to_parent, from_child = os.pipe()
if not os.fork():
    metrics.start_request()
    os.write(from_child, b"x")
    os.read(to_child, 1)
    os._exit(0)
os.read(to_parent, 1)
both = metrics.exposition()[0]
os.write(from_parent, b"x")
os.wait()
print((both + metrics.exposition()[0]).decode())
"""


def test_a_forked_process_is_one_of_several(tmp_path):
    environ = {MULTIPROCESS_FOLDER: str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    text = subprocess.run([sys.executable, "-c", FORK], env=environ, capture_output=True, text=True, check=True).stdout
    in_progress = [line for line in text.splitlines() if line.startswith("bridge_assets_requests_in_progress")]
    assert in_progress == [f"bridge_assets_requests_in_progress {count}" for count in ("2.0", "1.0")]
