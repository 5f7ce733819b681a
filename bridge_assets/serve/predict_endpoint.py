"""Answers a POST with predictions: reads the body within limits, parses it, predicts and formats the answer.

A few rows take less time to predict than to be handed to a thread, so they are predicted at once. More rows are parsed
and predicted in a thread, so that health checks are not blocked.
"""

from __future__ import annotations

import asyncio
import gc
import re
from functools import partial
from typing import TYPE_CHECKING

from bridge_assets.serve.border.answers import send_error, send_json
from bridge_assets.serve.border.connections import BODY_SECONDS
from bridge_assets.serve.border.json_bytes import to_json
from bridge_assets.serve.contracts import Contract, ParsedRequest
from bridge_assets.serve.requests.request_body import check_size_of_parsed
from bridge_assets.serve.requests.request_rows import RequestError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from bridge_assets.serve.loaded_model import LoadedModel
    from bridge_assets.serve.state import AppState

#: Maximum size of a body in bytes. A chosen limit: enough for 10,000 rows of 44 features.
MAX_BODY_BYTES = 16 << 20

#: A larger body counts towards `MAX_BUFFERED_BYTES`. A chosen limit: those of all connections take 16 MiB, and requests
#: of up to about 60 rows are answered however many large ones others send.
SMALL_BODY_BYTES = 1 << 16

#: A larger body is parsed while no other such one is. A chosen limit: a smaller one takes up to 20 MB.
LARGE_BODY_BYTES = 1 << 20

#: Maximum number of bytes of large bodies in memory at the same time; further requests get 503 and may retry. A chosen
#: limit: four bodies of the maximum size.
MAX_BUFFERED_BYTES = 4 * MAX_BODY_BYTES

#: Maximum number of requests running or waiting for a thread; further ones get 503 and may retry. A chosen limit.
MAX_PENDING_REQUESTS = 128

#: Rows up to which a request is predicted without a thread. Measured: 16 rows take a forest of 200 trees 0.2 ms, about
#: as long as a thread takes to answer at all.
ROWS_AT_ONCE = 16


_JSON = "application/json"

#: What a request by structure key or raw record has, and no other valid one.
_NAMES_BRIDGES = re.compile(rb'"(?:structures|records)"\s*:')


class PredictEndpoint:
    """The ASGI callable of one provider's route of predictions."""

    def __init__(self, state: AppState, contract: Contract) -> None:
        self._state, self._contract = state, contract

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        try:
            await self._read_in_time(scope, receive, body)
            answer = await self._answer(scope, body)
        except RequestError as error:
            headers = {"Retry-After": "1"} if error.status == 503 else None
            await send_error(scope, send, error.status, str(error), headers)
        else:
            await send_json(send, 200, answer)
        finally:
            self._release(body)

    async def _answer(self, scope: Scope, body: bytearray) -> bytes:
        model: LoadedModel = scope["state"]["answering"]
        media_type = _media_type(scope)
        parsed, state = self._parse_small(body, media_type, model), self._state
        if parsed is not None and len(parsed.rows) <= ROWS_AT_ONCE:
            return self._format(await state.batches.predict(model, parsed.rows), parsed, model)
        if state.pending_requests >= MAX_PENDING_REQUESTS:
            raise RequestError("too many requests are waiting; retry in a second", 503)
        run = partial(asyncio.get_running_loop().run_in_executor, state.executor)
        state.pending_requests += 1
        try:
            if parsed is not None:
                return await run(self._respond, parsed, model)
            if self._contract.takes_bridges and _NAMES_BRIDGES.search(body):
                return await self._answer_about_bridges(body, model)
            if len(body) <= LARGE_BODY_BYTES:
                return await run(self._parse_and_respond, body, media_type, model)
            # Waits without a thread, so that small requests overtake. Its rows take less memory than its body.
            async with state.parsing_large:
                parsed = await run(self._parse_large, body, media_type, model)
                self._release(body)
            return await run(self._respond, parsed, model)
        finally:
            state.pending_requests -= 1

    def _parse_small(self, body: bytearray, media_type: str, model: LoadedModel) -> ParsedRequest | None:
        """The rows of a small body that is certainly valid; None = to be parsed with all checks."""
        parser = model.small_requests
        if parser is None or not self._contract.takes_instances or media_type != _JSON:
            return None
        rows = parser.rows(body) if len(body) <= SMALL_BODY_BYTES else None
        return None if rows is None else ParsedRequest(rows)

    def _respond(self, parsed: ParsedRequest, model: LoadedModel) -> bytes:
        return self._format(model.predict(parsed.rows), parsed, model)

    def _format(self, predictions: list[float], parsed: ParsedRequest, model: LoadedModel) -> bytes:
        if self._state.metrics is not None:
            self._state.metrics.observe_predictions(predictions, model.version, model.output_name)
        return to_json(self._contract.format_response(predictions, model, parsed))

    async def _answer_about_bridges(self, body: bytearray, model: LoadedModel) -> bytes:
        """The answer to a request by structure key or raw record (`serve.bridges`)."""
        if model.bridges is None:
            raise RequestError(
                f"this endpoint has no tables of structures. {model.no_bridges}. What to do: send rows of features in "
                "'instances', or run the asset local_endpoint, which packs the tables, and ask the local endpoint",
                501,
            )
        run = partial(asyncio.get_running_loop().run_in_executor, self._state.executor)
        if len(body) <= LARGE_BODY_BYTES:
            answer, predictions = await run(model.bridges.respond, body)
        else:
            async with self._state.parsing_large:
                answer, predictions = await run(model.bridges.respond, body)
        if self._state.metrics is not None:
            self._state.metrics.observe_predictions(predictions, model.version, model.output_name)
        return answer

    def _parse_and_respond(self, body: bytearray, media_type: str, model: LoadedModel) -> bytes:
        return self._respond(self._parse(body, media_type, model), model)

    def _parse(self, body: bytearray, media_type: str, model: LoadedModel) -> ParsedRequest:
        """Parse a body of any size with all checks; valid rows of features in a third of the time."""
        parser = model.small_requests
        if parser is not None and self._contract.takes_instances and media_type == _JSON:
            check_size_of_parsed(body, model.features)
            rows = parser.rows(body)
            if rows is not None:
                return ParsedRequest(rows)
        return self._contract.parse_request(body, media_type, model.features)

    def _parse_large(self, body: bytearray, media_type: str, model: LoadedModel) -> ParsedRequest:
        # Looking for circles among a hundred thousand new objects, which have none, takes a third of the time.
        gc.disable()
        try:
            return self._parse(body, media_type, model)
        finally:
            gc.enable()

    async def _read_in_time(self, scope: Scope, receive: Receive, body: bytearray) -> None:
        """Read a body, which is counted in `state.buffered_bytes` while it is large and in memory.

        Raises
        ------
        RequestError
            400 if the connection is closed, 408 if the body is not complete in time, 413 if it is too large, 503 if too
            many large bodies are in memory.
        """
        deadlines = self._state.deadlines
        task = deadlines.begin(BODY_SECONDS)
        try:
            await self._read(scope, receive, body)
        except asyncio.CancelledError:
            if deadlines.is_late(task):
                raise RequestError(f"the body was not complete after {BODY_SECONDS:g} seconds", 408) from None
            raise
        finally:
            deadlines.end(task)

    async def _read(self, scope: Scope, receive: Receive, body: bytearray) -> None:
        """Read a body into memory.

        An oversized one is read and discarded up to a limit, because a client that is still sending would not see the
        response.
        """
        state, size, more = self._state, 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestError("the connection was closed before the body was complete")
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            scope["state"]["bytes_in"] = size
            if size > MAX_BODY_BYTES:
                self._release(body)
                if size > 4 * MAX_BODY_BYTES:
                    break
                continue
            before = _counted(body)
            body += part
            state.buffered_bytes += _counted(body) - before
            if state.buffered_bytes > MAX_BUFFERED_BYTES:
                raise RequestError("too many large requests are being sent; retry in a second", 503)
        if size > MAX_BODY_BYTES:
            raise RequestError(f"the body is too large; send at most {MAX_BODY_BYTES >> 20} MiB", 413)

    def _release(self, body: bytearray) -> None:
        """Free the memory of a body that has been parsed or refused."""
        self._state.buffered_bytes -= _counted(body)
        body.clear()


def _counted(body: bytearray) -> int:
    """How many of its bytes count towards `MAX_BUFFERED_BYTES`."""
    return len(body) if len(body) > SMALL_BODY_BYTES else 0


def _media_type(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return _JSON if value == b"application/json" else value.decode("latin-1").partition(";")[0].strip().lower()
    return _JSON
