"""A client asks all the while a version takes over from another one: every request is answered, by a whole version."""

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
from bridge_assets.deployment.core.packing import pack, served_digests
from bridge_assets.deployment.core.target import deploy
from bridge_assets.runtime.probe import Probe

PER_SECOND = 50


@dataclass
class Client:
    """Asks the front door at a steady pace, each time over a connection of its own."""

    address: str
    body: bytes
    answers: dict[str, np.ndarray]
    versions: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, asked_at: float) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request("POST", "/predict", self.body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = json.loads(answer.read())
            version = answer.headers["X-Model-Version"]
            assert answer.status == 200, said
            assert said["model_version"] == version
            assert np.allclose(said["predictions"], self.answers[version], rtol=0, atol=1e-6)
            self.versions.append((asked_at, version))
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
                pool.submit(self.ask, time.monotonic())

    def stop(self) -> None:
        self._stop.set()


def answers_of(bundle: Bundle, probe: Probe, folder: Path) -> np.ndarray:
    """What the artifact itself says of some rows."""
    package = pack(bundle.model_version, served_digests(bundle.model_version), folder)
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
        asking = threading.Thread(target=client.run)
        asking.start()
        try:
            while not client.versions:
                time.sleep(0.01)
            deploy(here.target(), new)
            returned = time.monotonic()
            while sum(asked > returned for asked, _ in client.versions) < PER_SECOND and not client.failures:
                time.sleep(0.01)
        finally:
            client.stop()
            asking.join()
        assert client.failures == []
        before = Counter(version for asked, version in client.versions if asked <= returned)
        after = Counter(version for asked, version in client.versions if asked > returned)
        print(f"{sum(before.values())} requests during the deployment: {dict(before)}; after it: {dict(after)}")
        assert set(before) == {old.version, new.version}
        assert set(after) == {new.version}
        assert here.cluster.pods.min_ready == {NAME: 2}
        assert here.is_serving(new)
