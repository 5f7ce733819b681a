"""Long runs against a real server, short here and at full length with `make drills`."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from serve.test_follow import COMMAND
from support.deployment.request_fuzzer import RequestFuzzer
from support.deployment.server_process import ServerProcess, start_container

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.runtime.package import Package
from bridge_assets.runtime.probe import Probe

#: Set by `make drills`.
IS_FULL = os.environ.get("BRIDGE_ASSETS_DRILLS") == "1"


def test_random_requests_get_no_internal_error_and_memory_stays_flat(bundle, tmp_path, vertex_variables):
    """100,000 requests of four clients: as many as a public endpoint gets from scanners in months."""
    requests, clients = 100_000 if IS_FULL else 4_000, 4
    archive = bundle.write(tmp_path / "bundle.tar.gz")
    server = start_container(BRIDGE_ASSETS_PACKAGE=str(archive), **vertex_variables)
    fuzzers = [RequestFuzzer(httpx.URL(server.url).port or 0, seed) for seed in range(clients)]

    def send(fuzzer: RequestFuzzer, number: int) -> Counter[int]:
        return Counter(fuzzer.send() for _ in range(number))

    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(send, fuzzers, [requests // 10 // clients] * clients))
        before = server.memory()
        counts = sum(threads.map(send, fuzzers, [requests // clients] * clients), Counter())
        after = server.memory()
    print(f"{sum(counts.values()):,} requests, {before:.0f} MB before, {after:.0f} MB after: {counts}")
    # Each kind of answer was really reached.
    assert {200, 400, 404, 405, 415, 422} <= counts.keys()
    assert counts[200] > requests / 20
    assert after - before < 16
    assert httpx.get(f"{server.url}/health", timeout=30).status_code == 200
    assert server.stop() == 0
    assert [event for event in server.log if event["event"] == "failed"] == []
    assert set(server.errors) <= {"Invalid HTTP request received.\n", "Unsupported upgrade request.\n"}


@pytest.mark.parametrize("concurrency", [16])
def test_requests_through_a_promotion_and_a_rollback_do_not_fail_and_are_not_mixed(tmp_path, versions, concurrency):
    """2,000 requests in a closed loop of sixteen clients; each answer is that of the version that it names."""
    requests = 2_000 if IS_FULL else 400
    endpoint = LocalEndpoint(tmp_path / "endpoints" / "local", packages_kept=2)
    probe, expected = Probe.load(versions[0].file("probe.json")), {}
    for version in versions[:2]:
        endpoint.deploy(version)
        package = Package(endpoint.root / "current")
        expected[version.version] = package.load_model().fall_probability(probe.table()).to_list()
    endpoint.rollback()
    server = ServerProcess(COMMAND, BRIDGE_ASSETS_DATA__HOME=str(tmp_path))
    body, numbers, answered = {"instances": probe.request_rows()}, itertools.count(), Counter[str]()

    def send_requests(_: int) -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while next(numbers) < requests:
                reply = client.post("/predict", json=body).raise_for_status()
                version = reply.json()["model_version"]
                assert reply.headers["X-Model-Version"] == version
                assert reply.json()["predictions"] == expected[version]
                answered[version] += 1

    with ThreadPoolExecutor(concurrency + 1) as threads:
        running = [threads.submit(send_requests, number) for number in range(concurrency)]
        for share, change in ((0.25, lambda: endpoint.deploy(versions[1])), (0.6, endpoint.rollback)):
            while sum(answered.values()) < share * requests and not all(each.done() for each in running):
                time.sleep(0.005)
            change()
        for each in running:
            each.result()
    assert sum(answered.values()) == requests
    assert set(answered) == set(expected), "requests were answered by both versions"
    assert server.stop() == 0
    assert server.errors == []


def test_half_of_the_load_through_a_promotion_leaves_the_memory_flat(tmp_path, versions):
    """Ten minutes at half of what the server can answer, a promotion in the middle: no error, no lost memory."""
    seconds, measuring, clients = (600.0, 30.0, 4) if IS_FULL else (8.0, 2.0, 4)
    endpoint = LocalEndpoint(tmp_path / "endpoints" / "local", packages_kept=2)
    endpoint.deploy(versions[0])
    server = ServerProcess(COMMAND, BRIDGE_ASSETS_DATA__HOME=str(tmp_path))
    body = {"instances": Probe.load(versions[0].file("probe.json")).request_rows()[:1]}
    memory: list[float] = []

    def send(until: float, pause: float) -> Counter[str]:
        answered: Counter[str] = Counter()
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while (began := time.monotonic()) < until:
                reply = client.post("/predict", json=body).raise_for_status()
                assert reply.headers["X-Model-Version"] == reply.json()["model_version"]
                answered[reply.json()["model_version"]] += 1
                time.sleep(max(0.0, began + pause - time.monotonic()))
        return answered

    with ThreadPoolExecutor(clients) as threads:
        most = sum(threads.map(send, [time.monotonic() + measuring] * clients, [0.0] * clients), Counter())
        began, pause = time.monotonic(), clients * 2 * measuring / most.total()
        running = [threads.submit(send, began + seconds, pause) for _ in range(clients)]
        for share in (0.2, 0.4, 0.6, 0.8, 0.99):
            time.sleep(max(0.0, began + share * seconds - time.monotonic()))
            memory.append(server.memory())
            if share == 0.4:
                endpoint.deploy(versions[1])
        answered = sum((each.result() for each in running), Counter())
    print(f"{answered.total():,} requests, {answered.total() / seconds:.0f} a second; MB: {memory}")
    assert set(answered) == {version.version for version in versions[:2]}
    assert memory[-1] - memory[0] < 16
    assert server.stop() == 0
    assert server.errors == []
    assert [event for event in server.log if event.get("status", 200) != 200] == []


def test_make_drills_runs_these_tests_at_full_length():
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "BRIDGE_ASSETS_DRILLS=1" in text
