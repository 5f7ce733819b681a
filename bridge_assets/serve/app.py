"""The ASGI app: every provider's routes to one predictor.

Each response has the version and the slot that produced it in its headers. An invalid request gets one line of JSON
with the reason; for an internal error, the details are only in the log.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge_assets.metrics.measure_requests import METRICS_PATH, MeasureRequests, answer_scrape
from bridge_assets.serve.border.access import AccessRules, Guard
from bridge_assets.serve.border.access_log import AccessLog
from bridge_assets.serve.border.connections import BODY_SECONDS
from bridge_assets.serve.contracts import (
    AZUREML,
    INSTANCES,
    SAGEMAKER,
    VERTEX,
    Contract,
    ParsedRequest,
    kserve_contract,
    kserve_metadata,
)
from bridge_assets.serve.loaded_model import LoadedModel
from bridge_assets.serve.requests.request_rows import RequestError
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

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def make_app(
    state: AppState,
    environ: Mapping[str, str] = os.environ,
    lifespan: Lifespan | None = None,
    access: AccessRules = AccessRules(),  # noqa: B008 # frozen
) -> Starlette:
    """Make the app.

    Parameters
    ----------
    state : AppState
    environ : mapping
        Routes and model name set by a provider: `AIP_HEALTH_ROUTE`, `AIP_PREDICT_ROUTE`,
        `BRIDGE_ASSETS_MODEL_NAME`.
    lifespan : callable, optional
        Context that is active while the app runs.
    access : AccessRules, optional
        Who may call it; default: anybody, as often as they like.
    """

    def get(path: str, answer: Callable[[LoadedModel], Response]) -> Route:
        return Route(path, _get_endpoint(answer), methods=["GET"])

    def post(path: str, contract: Contract) -> Route:
        return Route(path, _predict_endpoint(state, contract), methods=["POST"])

    name = environ.get("BRIDGE_ASSETS_MODEL_NAME", "bridge-fall")
    vertex_health, vertex_predict = environ.get("AIP_HEALTH_ROUTE"), environ.get("AIP_PREDICT_ROUTE")
    ready = partial(_health, state)
    routes = [
        # Google Vertex AI sets its routes
        *([get(vertex_health, ready)] if vertex_health else []),
        *([post(vertex_predict, VERTEX)] if vertex_predict else []),
        # any client
        get("/health", ready),
        post("/predict", INSTANCES),
        # Amazon SageMaker
        get("/ping", partial(_ping, state)),
        post("/invocations", SAGEMAKER),
        # Azure ML
        post("/score", AZUREML),
        # KServe: the Open Inference Protocol, version 2
        get("/v2/health/live", lambda _: JSONResponse({"live": True})),
        get("/v2/health/ready", ready),
        get(f"/v2/models/{name}", lambda answering: JSONResponse(kserve_metadata(name, answering))),
        get(f"/v2/models/{name}/ready", ready),
        post(f"/v2/models/{name}/infer", kserve_contract(name)),
        # Prometheus
        Route(METRICS_PATH, partial(answer_scrape, state.metrics), methods=["GET"]),
    ]
    handlers = {RequestError: _request_error, HTTPException: _http_error}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    # As providers probe them, without a token.
    health_paths = frozenset(
        (
            "/health",
            "/ping",
            "/v2/health/live",
            "/v2/health/ready",
            f"/v2/models/{name}/ready",
            vertex_health or "/health",
        )
    )
    app.add_middleware(Guard, rules=access, health_paths=health_paths)
    app.add_middleware(AccessLog, state=state)
    if state.metrics is not None:
        app.add_middleware(MeasureRequests, metrics=state.metrics, purposes=_purposes(routes, health_paths))
        state.record_model()
    return app


def _purposes(routes: Sequence[Route], health_paths: frozenset[str]) -> dict[str, str]:
    """Route -> what it is for: `predict`, `health` or `other`."""

    def purpose(route: Route) -> str:
        if route.path in health_paths:
            return "health"
        return "predict" if "POST" in (route.methods or ()) else "other"

    return {route.path: purpose(route) for route in routes}


def _get_endpoint(answer: Callable[[LoadedModel], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return answer(request.state.answering)

    return endpoint


def _predict_endpoint(state: AppState, contract: Contract) -> Callable[[Request], Awaitable[Response]]:
    def respond(parsed: ParsedRequest, model: LoadedModel) -> bytes:
        predictions = model.predict(parsed.table)
        if state.metrics is not None:
            state.metrics.observe_predictions(predictions, model.version, model.output_name)
        return json.dumps(contract.format_response(predictions, model, parsed)).encode()

    def parse_and_respond(body: bytearray, media_type: str, model: LoadedModel) -> bytes:
        return respond(contract.parse_request(body, media_type, model.features), model)

    async def endpoint(request: Request) -> Response:
        media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        # Parsing rows takes as long as predicting; both run in a thread, so that health checks are not blocked.
        run, model = partial(asyncio.get_running_loop().run_in_executor, state.executor), request.state.answering
        async with _body_of(request, state) as body:
            if state.pending_requests >= MAX_PENDING_REQUESTS:
                raise RequestError("too many requests are waiting; retry in a second", 503)
            state.pending_requests += 1
            try:
                if len(body) <= LARGE_BODY_BYTES:
                    answer = await run(parse_and_respond, body, media_type, model)
                else:
                    # Waits without a thread, so that small requests overtake. Its rows take less memory than its body.
                    async with state.parsing_large:
                        parsed = await run(_parse_large, contract, body, media_type, model)
                        _release(body, state)
                    answer = await run(respond, parsed, model)
            finally:
                state.pending_requests -= 1
        return Response(answer, media_type="application/json")

    return endpoint


def _parse_large(contract: Contract, body: bytearray, media_type: str, model: LoadedModel) -> ParsedRequest:
    # Looking for circles among a hundred thousand new objects, which have none, takes a third of the time.
    gc.disable()
    try:
        return contract.parse_request(body, media_type, model.features)
    finally:
        gc.enable()


@asynccontextmanager
async def _body_of(request: Request, state: AppState) -> AsyncIterator[bytearray]:
    """The body of a request, counted in `state.buffered_bytes` while it is large and in memory.

    Raises
    ------
    RequestError
        400 if the connection is closed, 408 if the body is not complete in time, 413 if it is too large, 503 if too
        many large bodies are in memory.
    """
    body = bytearray()
    try:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await _read_body(request, body, state)
        except TimeoutError:
            raise RequestError(f"the body was not complete after {BODY_SECONDS:g} seconds", 408) from None
        yield body
    finally:
        _release(body, state)


async def _read_body(request: Request, body: bytearray, state: AppState) -> None:
    """Read a body into memory.

    An oversized one is read and discarded up to a limit, because a client that is still sending would not see the
    response.
    """
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_BODY_BYTES:
                _release(body, state)
                if size > 4 * MAX_BODY_BYTES:
                    break
                continue
            before = _counted(body)
            body += part
            state.buffered_bytes += _counted(body) - before
            if state.buffered_bytes > MAX_BUFFERED_BYTES:
                raise RequestError("too many large requests are being sent; retry in a second", 503)
    except ClientDisconnect:
        raise RequestError("the connection was closed before the body was complete") from None
    if size > MAX_BODY_BYTES:
        raise RequestError(f"the body is too large; send at most {MAX_BODY_BYTES >> 20} MiB", 413)


def _counted(body: bytearray) -> int:
    """How many of its bytes count towards `MAX_BUFFERED_BYTES`."""
    return len(body) if len(body) > SMALL_BODY_BYTES else 0


def _release(body: bytearray, state: AppState) -> None:
    """Free the memory of a body that has been parsed or refused."""
    state.buffered_bytes -= _counted(body)
    body.clear()


def _health(state: AppState, model: LoadedModel) -> Response:
    body = {"status": "closing" if state.draining else "ok", "version": model.version, "slot": model.slot}
    return JSONResponse(body, 503 if state.draining else 200)


def _ping(state: AppState, model: LoadedModel) -> Response:
    return Response(status_code=503 if state.draining else 200)


def _request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    headers = {"Retry-After": "1"} if error.status == 503 else None
    return JSONResponse({"error": str(error)}, error.status, headers=headers)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {404: "no such route", 405: "method not allowed for this route"}.get(error.status_code, error.detail)
    return JSONResponse({"error": message}, error.status_code, headers=error.headers)
