"""`/metrics` of the served app, as a real process."""

from __future__ import annotations

import socket

import httpx
import pytest
from metrics.test_prometheus_metrics import samples
from serve.border.test_access import PROBE, SECRET
from support.deployment.server_process import serving, start_container

from bridge_assets.serve import container

PREDICTED = 'bridge_assets_requests_total{purpose="predict",route="/predict",status="200"}'


@pytest.fixture
def client(bundle, tmp_path):
    """A client of a server of its own, which has counted nothing yet."""
    with (
        serving(bundle, BRIDGE_ASSETS_MODEL_NAME=f"model-{tmp_path.name}") as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client


def scraped(client: httpx.Client) -> dict[str, float]:
    return samples(client.get("/metrics").raise_for_status().text)


def test_requests_predictions_and_the_version_are_counted(client, bundle):
    before = scraped(client)
    assert before[PREDICTED] == before['bridge_assets_request_errors_total{purpose="predict",reason="internal"}'] == 0
    client.post("/predict", json={"instances": [{"age": 1}, {"age": 2}]}).raise_for_status()
    assert client.post("/predict", json={"instances": [{"nothing": 1}]}).status_code == 422
    client.get("/health")
    found = scraped(client)
    version = bundle.version
    assert found[PREDICTED] == 1
    assert found['bridge_assets_request_errors_total{purpose="predict",reason="invalid"}'] == 1
    assert found['bridge_assets_requests_total{purpose="health",route="/health",status="200"}'] == 1
    assert found[f'bridge_assets_fall_probability_count{{version="{version}"}}'] == 2
    assert found["bridge_assets_request_rows_sum"] == 2
    assert found['bridge_assets_requests_total{purpose="other",route="/metrics",status="200"}'] == 1
    assert found["bridge_assets_requests_in_progress"] == 1  # this scrape
    info = f'bridge_assets_model_info{{output="fall_probability",slot="{bundle.slot}",version="{version}"}}'
    assert found[info] == 1
    assert found["process_resident_memory_bytes"] > 1e6


def test_ten_thousand_paths_are_one_series(client):
    series = len(scraped(client))
    for first in range(0, 10_000, 500):
        requests = [
            f"{'GET' if number % 2 else 'PURGE'} /{number}/x?{number} HTTP/1.1\r\nHost: x\r\nX-Trace: {number}\r\n"
            for number in range(first, first + 500)
        ]
        requests[-1] += "Connection: close\r\n"
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=30) as connection:
            connection.sendall("".join(f"{request}\r\n" for request in requests).encode())
            answers = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        assert answers.count(b"HTTP/1.1 40") == 500
    found = scraped(client)
    others = [value for name, value in found.items() if "requests_total" in name and 'route="other"' in name]
    assert sum(others) == 10_000
    assert len(found) < series + 60


def test_the_token_is_needed_where_one_is_set(bundle):
    with serving(bundle, BRIDGE_ASSETS_TOKEN=SECRET) as url:
        assert httpx.get(f"{url}/metrics").status_code == 401
        assert httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {SECRET}"}).status_code == 200


def test_without_prometheus_client_predictions_are_answered_as_before(bundle, tmp_path):
    missing = tmp_path / "missing" / "prometheus_client"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ModuleNotFoundError('No module named prometheus_client')")
    path = bundle.write(tmp_path / container.ARCHIVE_NAME)
    server = start_container(BRIDGE_ASSETS_PACKAGE=str(path), PYTHONPATH=str(missing.parent))
    try:
        assert httpx.post(f"{server.url}/predict", json=PROBE).status_code == 200
        reply = httpx.get(f"{server.url}/metrics")
        assert (reply.status_code, "prometheus-client is not installed" in reply.json()["error"]) == (501, True)
    finally:
        server.stop()
    assert [event["event"] for event in server.log].count("no metrics") == 1


def test_several_servers_that_share_a_folder_answer_for_each_other_when_one_is_killed(bundle, tmp_path):
    path = bundle.write(tmp_path / container.ARCHIVE_NAME)
    environ = {"BRIDGE_ASSETS_PACKAGE": str(path), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    servers = [start_container(**environ) for _ in range(2)]
    try:
        for server in servers:
            for _ in range(3):
                httpx.post(f"{server.url}/predict", json=PROBE).raise_for_status()
        scrapes = [samples(httpx.get(f"{server.url}/metrics").text) for server in servers]
        assert [found[PREDICTED] for found in scrapes] == [6, 6]
        servers[1].process.kill()
        servers[1].process.wait()
        found = samples(httpx.get(f"{servers[0].url}/metrics").text)
        assert (found[PREDICTED], found["bridge_assets_requests_in_progress"]) == (6, 1)
    finally:
        for server in servers:
            server.stop()


def test_a_folder_that_cannot_be_shared_is_an_error_that_names_it(bundle, tmp_path):
    path = bundle.write(tmp_path / container.ARCHIVE_NAME)
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeError, match="PROMETHEUS_MULTIPROC_DIR to a folder"):
        start_container(BRIDGE_ASSETS_PACKAGE=str(path), PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "file"))
