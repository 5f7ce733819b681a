"""Predicts the rows of requests that wait at the same time in one call.

Of 16 rows, the forest takes 11 microseconds each; a row alone takes it 40, most of which is the call. Nobody waits for
more requests to arrive: a batch is what has arrived by the time that the event loop has looked at every connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.serve.requests.request_rows import RequestError

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.serve.loaded_model import LoadedModel

#: Rows that are predicted before the event loop looks at the connections again: 64 take 0.7 ms. A chosen limit.
_ROWS_AT_ONCE = 64

#: Requests that are predicted at once after one that was alone in its batch, before another one waits for a round of
#: the event loop to see whether others come. A chosen limit.
_AT_ONCE = 16


class Batches:
    """The requests of one event loop that wait for their predictions."""

    def __init__(self) -> None:
        self._waiting: list[tuple[LoadedModel, np.ndarray, asyncio.Future[list[float]]]] = []
        self._at_once = _AT_ONCE

    async def predict(self, model: LoadedModel, rows: np.ndarray) -> list[float]:
        """Predict the rows of a request, together with those of others for the same version.

        Raises
        ------
        RequestError
            If a value is too large for the model's scale; other requests are answered.
        """
        if self._at_once < _AT_ONCE and not self._waiting:  # the last one was alone: so is this one, probably
            self._at_once += 1
            return model.predict(rows)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[float]] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._predict, loop)
        self._waiting.append((model, rows, future))
        return await future

    def _predict(self, loop: asyncio.AbstractEventLoop) -> None:
        count = rows = 0
        for _, each, _ in self._waiting:
            if rows and rows + len(each) > _ROWS_AT_ONCE:
                break
            count, rows = count + 1, rows + len(each)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._at_once = 0 if count == 1 else _AT_ONCE
        if self._waiting:
            loop.call_soon(self._predict, loop)
        try:
            answers = predict_batch([(model, rows) for model, rows, _ in batch])
        except Exception as error:  # whatever it is: each request is answered and logged
            answers = [error] * len(batch)
        for (_, _, future), answer in zip(batch, answers, strict=True):
            if future.done():  # its request was cancelled
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def predict_batch(requests: Sequence[tuple[LoadedModel, np.ndarray]]) -> list[list[float] | RequestError]:
    """Predict the rows of several requests, each with the version that it arrived for, in one call for each version.

    Parameters
    ----------
    requests : sequence
        (version, rows of shape (n, n_features)) of each request.

    Returns
    -------
    list
        The predictions of each request, or the error of its rows: it spoils no other request's answer.
    """
    import numpy as np

    answers: list[list[float] | RequestError] = [[] for _ in requests]
    places: dict[int, list[int]] = {}
    for place, (model, _) in enumerate(requests):
        places.setdefault(id(model), []).append(place)
    for together in places.values():
        model = requests[together[0]][0]
        try:
            predictions = model.predict(np.concatenate([requests[place][1] for place in together]))
        except RequestError:
            for place in together:
                answers[place] = _alone(model, requests[place][1])
            continue
        end = 0
        for place in together:
            begin, end = end, end + len(requests[place][1])
            answers[place] = predictions[begin:end]
    return answers


def _alone(model: LoadedModel, rows: np.ndarray) -> list[float] | RequestError:
    try:
        return model.predict(rows)
    except RequestError as error:
        return error
