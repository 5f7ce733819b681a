"""Runs push how they ended to a real Pushgateway, and are not held up by one that is not there."""

import os
import socket
import time
from collections.abc import Iterator

import dagster as dg
import httpx
import pytest
import yaml
from metrics.test_prometheus_metrics import samples
from support.prometheus.servers import free_port, pushgateway

from bridge_assets.metrics.pushgateway import PushgatewayHandler
from bridge_assets.settings import config_file
from bridge_assets.settings.environment import EnvironmentSettings

ADDRESS = "BRIDGE_ASSETS_ENVIRONMENT__PROMETHEUS__PUSHGATEWAY"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[str]:
    with pushgateway(tmp_path_factory.mktemp("pushgateway")) as address:
        yield address


@pytest.fixture
def instance(tmp_path, monkeypatch) -> Iterator[dg.DagsterInstance]:
    """An instance with the handlers that configs/dagster.yaml hangs on it."""
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path))
    monkeypatch.setattr(PushgatewayHandler, "_said", False)
    overrides = {"python_logs": yaml.safe_load(config_file("dagster.yaml").read_text())["python_logs"]}
    with dg.instance_for_test(overrides=overrides) as made:
        yield made


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2020", "2021"]))
def table() -> dg.MaterializeResult:
    if "BREAK" in os.environ:
        raise RuntimeError("no")
    return dg.MaterializeResult(metadata={"dagster/row_count": 3})


JOB = dg.Definitions(assets=[table], jobs=[dg.define_asset_job("yearly", [table])]).resolve_job_def("yearly")


def run(instance: dg.DagsterInstance) -> None:
    result = JOB.execute_in_process(instance=instance, partition_key="2020", raise_on_error=False)
    assert result.success == ("BREAK" not in os.environ)


def pushed(gateway: str) -> dict[str, float]:
    found = samples(httpx.get(f"{gateway}/metrics").text)
    return {name.partition("{")[0]: value for name, value in found.items() if 'dagster_job="yearly"' in name}


def test_a_run_pushes_its_end_and_a_failed_one_keeps_the_last_success(instance, gateway, monkeypatch):
    monkeypatch.setenv(ADDRESS, gateway)
    began = time.time()
    run(instance)
    first = pushed(gateway)
    assert first["bridge_assets_run_success"] == 1
    assert first["bridge_assets_run_rows"] == 3
    assert began <= first["bridge_assets_run_last_success_timestamp_seconds"] <= time.time()
    assert 0 < first["bridge_assets_run_duration_seconds"] < 60
    monkeypatch.setenv("BREAK", "1")
    run(instance)
    second = pushed(gateway)
    assert second["bridge_assets_run_success"] == 0
    success, end = "bridge_assets_run_last_success_timestamp_seconds", "bridge_assets_run_end_timestamp_seconds"
    assert second[success] == first[success] <= first[end] < second[end]


def test_without_an_address_nothing_is_imported_or_pushed(instance, monkeypatch):
    monkeypatch.setattr(PushgatewayHandler, "_push", lambda *_: pytest.fail("pushed"))
    run(instance)


@pytest.mark.parametrize("kind", ["nobody listens", "it never answers", "it answers a byte a second", "500"])
def test_a_gateway_that_is_not_there_neither_breaks_nor_delays_a_run(instance, kind, monkeypatch, capfd):
    waited, push = [], PushgatewayHandler._push

    def timed_push(handler: PushgatewayHandler, job: str, families: list) -> None:
        began = time.monotonic()
        push(handler, job, families)
        waited.append(time.monotonic() - began)

    monkeypatch.setattr(PushgatewayHandler, "_push", timed_push)
    with Gateway(kind) as address:
        monkeypatch.setenv(ADDRESS, address)
        for _ in range(2):
            run(instance)
        said = capfd.readouterr().err
    assert len(waited) == 2
    assert max(waited) < 2
    assert said.count("metrics of this run are not pushed to") == 1
    assert f"{address}: " in said
    assert "environment.yaml" in said


class Gateway:
    """A server that is no Pushgateway."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> str:
        import threading

        if self.kind == "nobody listens":
            return f"http://127.0.0.1:{free_port()}"
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        kept = []
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            kept.append(connection)
            if self.kind == "500":
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n")
                connection.close()
            if self.kind == "it answers a byte a second":
                for byte in b"HTTP/1.1 202 yes":
                    connection.sendall(bytes([byte]))
                    time.sleep(0.5)

    def __exit__(self, *_: object) -> None:
        if self.kind != "nobody listens":
            self.listener.close()


def test_an_address_with_a_password_is_refused(monkeypatch):
    monkeypatch.setenv(ADDRESS, "http://user:password@127.0.0.1:9091")
    with pytest.raises(Exception, match="pushgateway"):
        EnvironmentSettings.load()
