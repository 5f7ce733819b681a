"""Memory of the server process under hostile and large requests: a pod has 512 MiB."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from support.deployment.server_process import ServerProcess, start_container

#: MB that the process may take at most. A pod has 512; the rest is for the unpacked bundle and the kernel's buffers.
LIMIT = 450

SIZE = 15 << 20

JSON, CSV = "application/json", "text/csv"
PREDICT, INFER, SCORE, INVOKE = "/predict", "/v2/models/bridge-fall/infer", "/score", "/invocations"


def listed(item: bytes, before: bytes = b'{"instances":[', after: bytes = b"]}") -> bytes:
    """15 MB of JSON: a list of the same item."""
    return before + b",".join([item] * (SIZE // (len(item) + 1))) + after


def tensor(data: bytes) -> bytes:
    return b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":' + data + b"}]}"


def distinct_keys(number: int) -> bytes:
    return b'{"instances":[{' + b",".join(b'"%030d":1' % each for each in range(number)) + b"}]}"


#: Name -> path, media type, what makes the body (15 MB), and the status of the refusal.
ATTACKS = {
    "empty CSV lines": (INVOKE, CSV, lambda: b"\n" * SIZE, 422),
    "empty CSV rows": (INVOKE, CSV, lambda: b"feature_0\n" + b"\n" * SIZE, 422),
    "short CSV rows": (INVOKE, CSV, lambda: b"feature_0\n" + b"1\n" * (SIZE // 2), 413),
    "one CSV line": (INVOKE, CSV, lambda: b"feature_0\n" + b"," * SIZE, 413),
    "one CSV line as names": (INVOKE, CSV, lambda: b"," * SIZE, 413),
    "open CSV quote": (INVOKE, CSV, lambda: b'feature_0\n"' + b"\n" * SIZE, 400),
    "wide CSV characters": (INVOKE, CSV, lambda: "feature_0\n\U0001f600".encode() + b"\n" * SIZE, 413),
    "zeros": (PREDICT, JSON, lambda: listed(b"0"), 413),
    "only zeros": (PREDICT, JSON, lambda: listed(b"0", b"[", b"]"), 413),
    "fractions": (PREDICT, JSON, lambda: listed(b"1.5"), 413),
    "texts": (PREDICT, JSON, lambda: listed(b'"ab"'), 413),
    "empty objects": (PREDICT, JSON, lambda: listed(b"{}"), 413),
    "small objects": (PREDICT, JSON, lambda: listed(b'{"feature_0":1}'), 413),
    "empty lists": (PREDICT, JSON, lambda: listed(b"[]"), 413),
    "lists of tensors": (INFER, JSON, lambda: tensor(listed(b"[1]", b"[", b"]")), 413),
    "tensors": (INFER, JSON, lambda: listed(tensor(b"[1]"), b'{"inputs":[', b"]}"), 413),
    "names": (SCORE, JSON, lambda: listed(b'"feature_0"', b'{"input_data":{"data":[],"columns":[', b"]}}"), 413),
    "nested lists": (PREDICT, JSON, lambda: b"[" * SIZE, 400),
    "nested and closed": (PREDICT, JSON, lambda: b'{"x":' + b"[" * (SIZE // 2) + b"]" * (SIZE // 2) + b"}", 400),
    "nested objects": (PREDICT, JSON, lambda: b'{"a":' * (SIZE // 5), 400),
    "quoted brackets": (PREDICT, JSON, lambda: b'{"instances":[' + b'"]"' * (SIZE // 3) + b"]}", 400),
    "keys": (PREDICT, JSON, lambda: listed(b'"%07x":1', b'{"instances":[{', b"}]}"), 413),
    "wide characters": (PREDICT, JSON, lambda: '{"instances":"\U0001f600'.encode() + b"a" * SIZE + b'"}', 413),
    "escaped wide characters": (PREDICT, JSON, lambda: rb'{"instances":"\ud83d\ude00' + b"a" * SIZE + b'"}', 422),
    "a long name": (PREDICT, JSON, lambda: b'{"instances":[{"' + b"ab" * (SIZE // 2) + b'":1}]}', 422),
    "a long number": (PREDICT, JSON, lambda: b'{"instances":[{"feature_0":' + b"9" * SIZE + b"}]}", 422),
    "a long id": (INFER, JSON, lambda: b'{"id":"' + b"a" * SIZE + b'","inputs":[{}]}', 422),
    # Just within the limits of the structure.
    "as many values as allowed": (PREDICT, JSON, lambda: listed(b"0.0" + b" " * 30), 413),
    "as many lists as allowed": (INFER, JSON, lambda: tensor(listed(b"[1]" + b" " * 32, b"[", b"]")), 422),
    "as many texts as allowed": (PREDICT, JSON, lambda: listed(b'"' + b"a" * 30 + b'"'), 413),
    "as many keys as allowed": (PREDICT, JSON, lambda: distinct_keys(400_000), 422),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(wide_bundle, tmp_path_factory) -> Iterator[ServerProcess]:
    archive = wide_bundle.write(tmp_path_factory.mktemp("served") / "bundle.tar.gz")
    server = start_container(BRIDGE_ASSETS_PACKAGE=str(archive))
    yield server
    server.stop()


def send(server: ServerProcess, name: str) -> int:
    path, media_type, make_body, _ = ATTACKS[name]
    body = make_body()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        return client.post(path, content=body, headers={"Content-Type": media_type}).status_code


@pytest.mark.parametrize("name", ATTACKS)
def test_one_hostile_request_and_four_at_once_stay_within_the_memory_of_a_pod(server, name):
    with ThreadPoolExecutor(4) as threads:
        statuses = [send(server, name), *threads.map(send, [server] * 4, [name] * 4)]
    # 503: too many large bodies are in memory at the same time.
    assert statuses[0] == ATTACKS[name][3]
    assert set(statuses) <= {ATTACKS[name][3], 503}
    assert server.memory_peak() < LIMIT


def test_different_hostile_requests_at_once_stay_within_it_as_well(server):
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(send, [server] * len(ATTACKS), ATTACKS))
    assert set(statuses) <= {each[3] for each in ATTACKS.values()} | {503}
    assert server.memory_peak() < LIMIT


def test_four_of_the_largest_valid_requests_at_once_are_answered_within_it(server, wide_bundle):
    number = random.Random(0)
    rows = [{name: round(number.gauss(0, 1), 9) for name in wide_bundle.probe.features} for _ in range(10_000)]
    body = json.dumps({"instances": rows}).encode()

    def predict(_: int) -> list[float]:
        reply = httpx.post(f"{server.url}/predict", content=body, timeout=60)
        return reply.raise_for_status().json()["predictions"]

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(predict, range(4)))
    assert len(answers[0]) == 10_000
    assert all(each == answers[0] for each in answers)
    assert server.memory_peak() < LIMIT


def test_small_requests_are_answered_while_large_ones_fill_the_memory_for_bodies(server):
    """Sixteen large bodies at once: some get 503 with a time to retry, none of the small ones does."""
    body = b'{"instances":[' + b" " * ((16 << 20) - 32) + b"]}"

    def send_large(_: int) -> httpx.Response:
        return httpx.post(f"{server.url}/predict", content=body, timeout=60)

    with ThreadPoolExecutor(16) as threads, httpx.Client(base_url=server.url, timeout=60) as client:
        large = [threads.submit(send_large, number) for number in range(16)]
        small = []
        while not all(each.done() for each in large):
            small.append(client.post("/predict", json={"instances": [{"feature_0": 1}]}).status_code)
    assert set(small) == {200}
    replies = [each.result() for each in large]
    assert {each.status_code for each in replies} <= {200, 503}
    assert all(each.headers["Retry-After"] == "1" for each in replies if each.status_code == 503)
    assert server.memory_peak() < LIMIT
