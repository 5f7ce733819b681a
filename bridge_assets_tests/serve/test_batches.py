"""Requests that wait at the same time are predicted in one call, each with its own version and its own errors."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from bridge_assets.runtime.package import Package
from bridge_assets.serve.batches import Batches
from bridge_assets.serve.loaded_model import LoadedModel
from bridge_assets.serve.requests.request_rows import RequestError


@pytest.fixture
def models(versions, tmp_path) -> list[LoadedModel]:
    from bridge_assets.deployment.core.bundle import bundle_of

    return [
        LoadedModel.load(Package(bundle_of(version).unpack(tmp_path / version.version)), version.version)
        for version in versions[:2]
    ]


def test_each_request_gets_the_predictions_of_its_rows_by_its_version_to_the_last_bit(models):
    random = np.random.default_rng(0)
    requests = [(models[number % 2], random.normal(size=(1 + number % 5, 4))) for number in range(200)]

    async def predict() -> list[list[float]]:
        batches = Batches()
        return await asyncio.gather(*(batches.predict(*request) for request in requests))

    assert asyncio.run(predict()) == [model.predict(rows) for model, rows in requests]


def test_requests_are_predicted_together_and_an_error_is_that_of_its_own_request(models, monkeypatch):
    calls: list[int] = []
    predict = LoadedModel.predict
    monkeypatch.setattr(LoadedModel, "predict", lambda self, rows: calls.append(len(rows)) or predict(self, rows))
    fine, large = np.zeros((1, 4)), np.array([[0.0, 0.0, 1e30, 0.0]])

    async def send(requests: list[np.ndarray]) -> list[object]:
        batches = Batches()
        return await asyncio.gather(*(batches.predict(models[0], each) for each in requests), return_exceptions=True)

    assert asyncio.run(send([fine] * 20)) == [predict(models[0], fine)] * 20
    assert calls == [20]
    calls.clear()
    answers = asyncio.run(send([fine] * 100))
    assert (len(answers), calls) == (100, [64, 36]), "connections are looked at in between"
    first, error, last = asyncio.run(send([fine, large, fine]))
    assert first == last == predict(models[0], fine)
    assert isinstance(error, RequestError)
    assert str(error) == "row 0: feature 'traffic': 1e+30 is too large"


def test_one_client_alone_does_not_wait_and_company_is_noticed(models, monkeypatch):
    calls: list[int] = []
    predict = LoadedModel.predict
    monkeypatch.setattr(LoadedModel, "predict", lambda self, rows: calls.append(len(rows)) or predict(self, rows))
    row = np.zeros((1, 4))

    async def send() -> None:
        batches = Batches()
        for _ in range(10):
            await batches.predict(models[0], row)
        assert calls == [1] * 10
        for _ in range(3):
            await asyncio.gather(*(batches.predict(models[0], row) for _ in range(20)))
        assert calls[-2:] == [20, 20]

    asyncio.run(send())


def test_a_request_that_was_cancelled_does_not_keep_the_others_from_their_answers(models):
    async def send() -> list[float]:
        batches = Batches()
        gone, stays = (asyncio.create_task(batches.predict(models[0], np.zeros((1, 4)))) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(send()) == models[0].predict(np.zeros((1, 4)))


def test_an_internal_error_is_that_of_every_request_of_the_batch(models, monkeypatch):
    monkeypatch.setattr(LoadedModel, "predict", lambda self, rows: 1 / 0)

    async def send() -> list[object]:
        batches = Batches()
        both = (batches.predict(models[0], np.zeros((1, 4))) for _ in range(2))
        return await asyncio.gather(*both, return_exceptions=True)

    assert [type(error) for error in asyncio.run(send())] == [ZeroDivisionError] * 2


def test_requests_of_many_clients_to_a_server_get_the_same_answers_as_one_by_one(client):
    rows = [{"condition": number / 10, "age": number} for number in range(60)]

    def predict(row: dict[str, float]) -> float:
        return httpx.post(f"{client.base_url}/predict", json={"instances": [row]}, timeout=30).json()["predictions"][0]

    alone = client.post("/predict", json={"instances": rows}).json()["predictions"]
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(predict, rows)) == alone
