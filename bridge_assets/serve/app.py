"""The ASGI app: every provider's routes to one predictor.

Each response has the version and the slot that produced it in its headers. An invalid request gets one line of JSON
with the reason; for an internal error, the details are only in the log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import lru_cache, partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge_assets.metrics.measure_requests import METRICS_PATH, RequestMeter, answer_scrape
from bridge_assets.serve.border.access import AccessRules
from bridge_assets.serve.border.middleware import RequestMiddleware
from bridge_assets.serve.contracts import (
    AZUREML,
    INSTANCES,
    SAGEMAKER,
    VERTEX,
    Contract,
    kserve_contract,
    kserve_metadata,
)
from bridge_assets.serve.description.openapi import Served, openapi_document
from bridge_assets.serve.description.version import version_of
from bridge_assets.serve.loaded_model import LoadedModel
from bridge_assets.serve.predict_endpoint import PredictEndpoint
from bridge_assets.serve.state import AppState

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

    predict: dict[str, PredictEndpoint] = {}

    def post(path: str, contract: Contract) -> Route:
        return Route(path, predict.setdefault(path, PredictEndpoint(state, contract)), methods=["POST"])

    name = environ.get("BRIDGE_ASSETS_MODEL_NAME", "bridge-fall")
    vertex_health, vertex_predict = environ.get("AIP_HEALTH_ROUTE"), environ.get("AIP_PREDICT_ROUTE")
    ready = partial(_health, state)
    needs_token, is_limited = access.token_digest is not None, access.requests_per_second > 0
    served = Served(name, vertex_health, vertex_predict, needs_token, is_limited)
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
        # about this server
        get("/version", lambda answering: JSONResponse(version_of(answering))),
        get("/openapi.json", partial(_openapi, served)),
        # Prometheus
        Route(METRICS_PATH, partial(answer_scrape, state.metrics), methods=["GET"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_error})
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
    meter = None
    if state.metrics is not None:
        meter = RequestMeter(state.metrics, _purposes(routes, health_paths))
        state.record_model()
    app.add_middleware(
        RequestMiddleware, state=state, rules=access, health_paths=health_paths, endpoints=predict, meter=meter
    )
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


def _health(state: AppState, model: LoadedModel) -> Response:
    body = {"status": "closing" if state.draining else "ok", "version": model.version, "slot": model.slot}
    return JSONResponse(body, 503 if state.draining else 200)


def _ping(state: AppState, model: LoadedModel) -> Response:
    return Response(status_code=503 if state.draining else 200)


def _openapi(served: Served, model: LoadedModel) -> Response:
    try:
        return Response(_openapi_json(served, model), media_type="application/json")
    except ImportError:
        what = "there is no description: msgspec is not installed beside this server; build its image again"
        return JSONResponse({"error": what}, 501)


@lru_cache(maxsize=2)
def _openapi_json(served: Served, model: LoadedModel) -> bytes:
    return json.dumps(openapi_document(model, served)).encode()


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {404: "no such route", 405: "method not allowed for this route"}.get(error.status_code, error.detail)
    body = {"error": message, "request_id": request.state.request_id}
    return JSONResponse(body, error.status_code, headers=error.headers)
