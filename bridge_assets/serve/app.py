"""The ASGI app: every provider's routes to one predictor.

Each response has the version and the slot that produced it in its headers. An invalid request gets one line of JSON
with the reason; for an internal error, the details are only in the log.
"""

from __future__ import annotations

import json
import os
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge_assets.serve.access_log import AccessLog
from bridge_assets.serve.contracts import (
    AZUREML,
    INSTANCES,
    SAGEMAKER,
    VERTEX,
    Contract,
    kserve_contract,
    kserve_metadata,
)
from bridge_assets.serve.loaded_model import LoadedModel
from bridge_assets.serve.request_rows import RequestError
from bridge_assets.serve.state import AppState

#: Maximum size of a body in bytes. A chosen limit: enough for 10,000 rows of 44 features.
MAX_BODY_BYTES = 16 << 20

#: Maximum number of requests running or waiting for a thread; further ones get 503 and may retry. A chosen limit.
MAX_PENDING_REQUESTS = 128

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def make_app(state: AppState, environ: Mapping[str, str] = os.environ, lifespan: Lifespan | None = None) -> Starlette:
    """Make the app.

    Parameters
    ----------
    state : AppState
    environ : mapping
        Routes and model name set by a provider: `AIP_HEALTH_ROUTE`, `AIP_PREDICT_ROUTE`,
        `BRIDGE_ASSETS_MODEL_NAME`.
    lifespan : callable, optional
        Context that is active while the app runs.
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
    ]
    handlers = {RequestError: _request_error, HTTPException: _http_error}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.add_middleware(AccessLog, state=state)
    return app


def _get_endpoint(answer: Callable[[LoadedModel], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return answer(request.state.answering)

    return endpoint


def _predict_endpoint(state: AppState, contract: Contract) -> Callable[[Request], Awaitable[Response]]:
    def respond(body: bytes, media_type: str, model: LoadedModel) -> bytes:
        parsed = contract.parse_request(body, media_type, model.features)
        return json.dumps(contract.format_response(model.predict(parsed.table), model, parsed)).encode()

    async def endpoint(request: Request) -> Response:
        media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        body = await _read_body(request)
        if state.pending_requests >= MAX_PENDING_REQUESTS:
            raise RequestError("too many requests are waiting; retry in a second", 503)
        state.pending_requests += 1
        try:
            # Parsing rows takes as long as predicting; both run in a thread, so that health checks are not blocked.
            answer = await get_running_loop().run_in_executor(
                state.executor, respond, body, media_type, request.state.answering
            )
        finally:
            state.pending_requests -= 1
        return Response(answer, media_type="application/json")

    return endpoint


async def _read_body(request: Request) -> bytes:
    """Read the body; raises RequestError 413 if it is too large.

    An oversized body is read and discarded up to a limit, because a client that is still sending would not see the
    response.
    """
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size <= MAX_BODY_BYTES:
                parts.append(part)
            elif size > 4 * MAX_BODY_BYTES:
                break
    except ClientDisconnect:
        raise RequestError("the connection was closed before the body was complete") from None
    if size > MAX_BODY_BYTES:
        raise RequestError(f"the body is too large; send at most {MAX_BODY_BYTES >> 20} MiB", 413)
    return b"".join(parts)


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
