"""`/openapi.json`: the routes of this server, for one model version, with examples that it answers as documented.

The row of the examples has the median of each feature in training, and the prediction beside it is the model's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.data.features.limits import feature_limits
from bridge_assets.serve.contracts import kserve_metadata
from bridge_assets.serve.description.version import version_of

if TYPE_CHECKING:
    from bridge_assets.serve.loaded_model import LoadedModel

#: A float16 has at most 65,504: the scale of a model takes values up to so many standard deviations from the mean.
_MOST_DEVIATIONS = 65_000.0

_MEANINGS = {
    400: "The body is not such JSON or CSV, or has a key twice.",
    401: "The bearer token is missing or wrong.",
    408: "The body was not complete in time.",
    413: "The body is too large, or has too many rows or values.",
    415: "The media type is not supported.",
    422: "A row, a name or a value is invalid: the message names it, and what is expected.",
    429: "Your address sends more requests per second than allowed.",
    501: "This endpoint cannot answer for structures or records: the message says why.",
    503: "The server has too much to do, or is closing; retry in a second.",
}


@dataclass(frozen=True)
class Served:
    """What the document depends on besides the model.

    Attributes
    ----------
    model_name : str
        In the paths of the Open Inference Protocol.
    vertex_health, vertex_predict : str or None
        Routes that Vertex AI has set.
    needs_token, has_rate_limit : bool
    """

    model_name: str
    vertex_health: str | None = None
    vertex_predict: str | None = None
    needs_token: bool = False
    has_rate_limit: bool = False


def openapi_document(model: LoadedModel, served: Served) -> dict[str, Any]:
    """The OpenAPI 3.1 document.

    Raises
    ------
    ImportError
        If msgspec is not installed.
    """
    from bridge_assets.serve.description.structures import schemas
    from bridge_assets.serve.requests.small_requests import request_type

    components = schemas(request_type(model.features))
    _limit_rows(components["FeatureRow"], model)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "bridge-assets",
            "version": "1",
            "summary": f"{model.output_name} of bridges, by model version {model.version}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _predictions(model, served) | _checks(model, served),
        "components": {"schemas": components},
    }
    if served.needs_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path in document["paths"].values():
            for operation in path.values():
                if not operation.pop("x-open", False):
                    operation["security"] = [{"token": []}]
    for path in document["paths"].values():
        for operation in path.values():
            operation.pop("x-open", None)
    return document


def example_row(model: LoadedModel) -> dict[str, float]:
    """A bridge with the median of each feature in training."""
    return {name: round(value, 4) for name, value in zip(model.features, model.model.normalization.fill, strict=True)}


def _limit_rows(row: dict[str, Any], model: LoadedModel) -> None:
    """Write the limits of the values: those of the items, without what is allowed for rounding, or of the scale."""
    scale = model.model.normalization
    limits = feature_limits(model.features) or [None] * len(model.features)
    for place, (name, limit) in enumerate(zip(model.features, limits, strict=True)):
        reach = _MOST_DEVIATIONS * scale.scale[place]
        least, most = (
            limit.limit[:2] if limit else (scale.center[place] - reach, scale.center[place] + reach)  # of the scale
        )
        row["properties"][name] = {
            "type": ["number", "null"],
            "minimum": least,
            "maximum": most,
            "description": f"{limit.limit.words} ({limit.source})" if limit else "In the unit of training.",
        }
    row["minProperties"] = 1
    row["description"] = "Values by feature; a feature that is omitted or null is missing, and filled like in training."


def _predictions(model: LoadedModel, served: Served) -> dict[str, Any]:
    """The routes that predict."""
    row = example_row(model)
    known = dict(list(row.items())[:1])
    rows = {"one_bridge": {"instances": [row]}, "little_is_known": {"instances": [row, known]}}
    predictions = {name: _predict(model, request["instances"]) for name, request in rows.items()}
    named = {name: {"predictions": each, "model_version": model.version} for name, each in predictions.items()}
    table = {"input_data": {"columns": list(row), "data": [list(row.values())]}}
    tensor = {"name": "rows", "shape": [1, len(row)], "datatype": "FP32", "data": list(row.values())}
    output = {
        "name": model.output_name,
        "datatype": "FP32",
        "shape": [1],
        "data": predictions["one_bridge"],
    }
    head = {"model_name": served.model_name, "model_version": model.version}
    csv = f"{','.join(row)}\n{','.join(map(repr, row.values()))}\n"
    of_rows, of_table = _json("FeatureRows", rows), _json("FeatureRows", rows)
    of_table["application/json"]["schema"] = {"anyOf": [_ref("FeatureRows"), _ref("TableRequest")]}
    of_table["application/json"]["examples"]["table"] = {"value": table}
    asked, answered = _json("FeatureRows", rows), _json("Predictions", named)
    if model.bridges is not None:
        kinds = [_ref(name) for name in ("FeatureRows", "StructuresRequest", "RecordsRequest")]
        asked["application/json"]["schema"] = {"anyOf": kinds}
        answered["application/json"]["schema"] = {"anyOf": [_ref("Predictions"), _ref("BridgePredictions")]}
        if key := model.bridges.tables.a_key():
            request = {"structures": [{"state": key[:2], "structure": key[3:]}]}
            asked["application/json"]["examples"]["a_structure"] = {"value": request}
            answered["application/json"]["examples"]["a_structure"] = {"value": model.bridges.answer(request)}
    of_csv = {**of_rows, "text/csv": {"schema": {"type": "string"}, "examples": {"one_bridge": {"value": csv}}}}
    paths = {
        "/predict": ("Predict bridges", asked, answered, (501,)),
        "/invocations": ("Predict bridges, as Amazon SageMaker asks", of_csv, _json("Predictions", named), (415,)),
        "/score": ("Predict bridges, as Azure ML asks", of_table, _json("Predictions", named), ()),
        f"/v2/models/{served.model_name}/infer": (
            "Predict bridges, as the Open Inference Protocol asks",
            _json("InferRequest", {"one_bridge": {"inputs": [tensor]}}),
            _json("InferResponse", {"one_bridge": {**head, "outputs": [output]}}),
            (),
        ),
    }
    if served.vertex_predict:
        bare = {name: {"predictions": each} for name, each in predictions.items()}
        paths[served.vertex_predict] = (
            "Predict bridges, as Vertex AI asks",
            of_rows,
            _json("VertexPredictions", bare),
            (),
        )
    return {
        path: {
            "post": {
                "summary": summary,
                "requestBody": {"required": True, "content": request},
                "responses": _responses(served, answer, (400, 408, 413, 422, 503, *more)),
            }
        }
        for path, (summary, request, answer, more) in paths.items()
    }


def _predict(model: LoadedModel, rows: list[dict[str, float]]) -> list[float]:
    from bridge_assets.serve.requests.request_rows import rows_of_instances

    return model.predict(rows_of_instances(rows, model.features))


def _checks(model: LoadedModel, served: Served) -> dict[str, Any]:
    """The routes that say something about the server and its model."""
    name = served.model_name
    health = {"ok": {"status": "ok", "version": model.version, "slot": model.slot}}
    closing = _json("Health", {"closing": {**health["ok"], "status": "closing"}})
    ready = {
        "200": {"description": "Ready.", "content": _json("Health", health)},
        "503": {"description": "Closing.", "content": closing},
    }
    live = _json("Live", {"live": {"live": True}})
    version = _json("Version", {"version": version_of(model)})
    metadata = _json("ModelMetadata", {"metadata": kserve_metadata(name, model)})
    metrics = {"text/plain": {"schema": {"type": "string"}}}
    openapi = {"application/json": {"schema": {"type": "object"}}}
    return {
        "/health": _open("Whether the server is ready", ready),
        **({served.vertex_health: _open("Whether the server is ready", ready)} if served.vertex_health else {}),
        "/ping": _open(
            "Whether the server is ready, without a body",
            {"200": {"description": "Ready."}, "503": {"description": "Closing."}},
        ),
        "/v2/health/live": _open("Whether the process runs", {"200": {"description": "It runs.", "content": live}}),
        "/v2/health/ready": _open("Whether the server is ready", ready),
        f"/v2/models/{name}/ready": _open("Whether the model is ready", ready),
        f"/v2/models/{name}": _get("The model's inputs and outputs", _responses(served, metadata, (503,))),
        "/version": _get("The versions behind an answer", _responses(served, version, (503,))),
        "/metrics": _get("Metrics for Prometheus", _responses(served, metrics, ())),
        "/openapi.json": _get("This document", _responses(served, openapi, (503,))),
    }


def _get(summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": responses}}


def _open(summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    """A route that needs no token."""
    return {"get": {"summary": summary, "responses": responses, "x-open": True}}


def _responses(served: Served, answer: dict[str, Any], codes: tuple[int, ...]) -> dict[str, Any]:
    access = ((401,) if served.needs_token else ()) + ((429,) if served.has_rate_limit else ())
    errors = {
        str(code): {"description": _MEANINGS[code], "content": {"application/json": {"schema": _ref("Error")}}}
        for code in sorted((*codes, *access))
    }
    headers = {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in (
            ("X-Model-Version", "The model version that answered."),
            ("X-Model-Slot", "Identifies everything that answered."),
            ("X-Request-ID", "The request's own, or a new one; it is in the server's log."),
        )
    }
    return {"200": {"description": "The answer.", "content": answer, "headers": headers}, **errors}


def _json(schema: str, examples: dict[str, Any]) -> dict[str, Any]:
    named = {name: {"value": value} for name, value in examples.items()}
    return {"application/json": {"schema": _ref(schema), "examples": named}}


def _ref(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
