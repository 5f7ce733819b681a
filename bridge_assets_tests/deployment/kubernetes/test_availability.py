"""A client sends requests while one version replaces another: every request succeeds, with one of the two versions."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from support.deployment.kubernetes_release import NAME, release_fixture

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.packing import pack, read_served_files
from bridge_assets.deployment.core.target import deploy
from bridge_assets.runtime.probe import Probe

PER_SECOND = 50


@dataclass
class Client:
    """Sends requests to the public address at a constant rate, each over a new connection."""

    address: str
    body: bytes
    answers: dict[str, np.ndarray]
    versions: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def send(self, sent_at: float) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request("POST", "/predict", self.body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            response = json.loads(answer.read())
            version = answer.headers["X-Model-Version"]
            assert answer.status == 200, response
            assert response["model_version"] == version
            assert np.allclose(response["predictions"], self.answers[version], rtol=0, atol=1e-6)
            self.versions.append((sent_at, version))
        except Exception as error:
            self.failures.append(repr(error))
        finally:
            connection.close()

    def run(self) -> None:
        started = time.monotonic()
        with ThreadPoolExecutor(32) as pool:
            for number in range(1_000_000):
                due = started + number / PER_SECOND
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
                pool.submit(self.send, time.monotonic())

    def stop(self) -> None:
        self._stop.set()


def answers_of(bundle: Bundle, probe: Probe, folder: Path) -> np.ndarray:
    """The predictions of the artifact itself for the probe's rows."""
    package = pack(read_served_files(bundle.model_version), folder)
    return package.load_model().fall_probability(probe.table()).to_numpy()


@pytest.mark.slow
def test_no_request_fails_while_a_version_takes_over_and_only_the_new_one_serves_afterwards(
    tmp_path, model_versions, monkeypatch
):
    old, new = bundle_of(model_versions[0]), bundle_of(model_versions[1])
    with release_fixture(tmp_path, monkeypatch, seconds_scale=0.4, processes=True) as here:
        deploy(here.target(), old)
        body = json.dumps({"instances": old.probe.request_rows()}).encode()
        answers = {bundle.version: answers_of(bundle, old.probe, tmp_path / bundle.slot) for bundle in (old, new)}
        assert not np.allclose(answers[old.version], answers[new.version])
        client = Client(here.cluster.open_service_proxy(NAME, delay=1.0).removeprefix("http://"), body, answers)
        sender = threading.Thread(target=client.run)
        sender.start()
        try:
            while not client.versions:
                time.sleep(0.01)
            deploy(here.target(), new)
            returned = time.monotonic()
            while sum(sent_at > returned for sent_at, _ in client.versions) < PER_SECOND and not client.failures:
                time.sleep(0.01)
        finally:
            client.stop()
            sender.join()
        assert client.failures == []
        before = Counter(version for sent_at, version in client.versions if sent_at <= returned)
        after = Counter(version for sent_at, version in client.versions if sent_at > returned)
        print(f"{sum(before.values())} requests during the deployment: {dict(before)}; after it: {dict(after)}")
        assert set(before) == {old.version, new.version}
        assert set(after) == {new.version}
        assert here.cluster.pods.min_ready == {NAME: 2}
        assert here.is_serving(new)
