"""Typed structures of requests and answers, from which OpenAPI describes them.

That of feature rows is `requests.small_requests.request_type`, with which they are parsed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bridge_assets.serve.contracts import MAX_ID, TENSOR_TYPES


class Predictions(Struct):
    """One prediction for each row, in the order of the rows."""

    predictions: list[float]
    model_version: str


class StructureKey(Struct, forbid_unknown_fields=True):
    """A structure of the packed tables."""

    state: Annotated[str, Meta(description="Item 1, two digits.", max_length=3)]
    structure: Annotated[str, Meta(description="Item 8.", max_length=40)]


class StructuresRequest(Struct, forbid_unknown_fields=True):
    """Structures of the packed tables, by their keys."""

    structures: Annotated[list[StructureKey], Meta(min_length=1, max_length=1000)]
    explain: bool | UnsetType = UNSET


class RecordsRequest(Struct, forbid_unknown_fields=True):
    """Raw NBI records: item number or name -> the text of the field."""

    records: Annotated[list[dict[str, str | float | None]], Meta(min_length=1, max_length=1000)]
    explain: bool | UnsetType = UNSET


class BridgePredictions(Struct):
    """Predictions for structures or records, with what was known and what was assumed of each."""

    predictions: list[float]
    model_version: str
    features_digest: str
    survey_year: int
    years_until_poor: dict[str, Any]
    bridges: list[dict[str, Any]]


class VertexPredictions(Struct):
    """One prediction for each row; Vertex AI adds the model's version itself."""

    predictions: list[float]


class Error(Struct):
    """What is wrong, where, and what to do; the id names the request in the server's log."""

    error: str
    request_id: str


class Health(Struct):
    """Whether the server takes requests: `closing` while it shuts down."""

    status: Literal["ok", "closing"]
    version: str
    slot: str


class Live(Struct):
    """The process runs."""

    live: bool


class Version(Struct):
    """The versions behind an answer."""

    model_version: str
    slot: Annotated[str, Meta(description="Identifies model, scale and probe, in a bundle also the code.")]
    feature_version: Annotated[str, Meta(description="Digest of the definitions of the features.")]
    package: Annotated[str, Meta(description="Digest of the files of the package.")]
    training_years: Annotated[list[int], Meta(min_length=2, max_length=2)]
    output: Literal["fall_probability", "expected_change"]
    python: str
    libraries: dict[str, str]


class SplitTable(Struct, forbid_unknown_fields=True):
    """A table as pandas splits it: names of features, and rows of values in their order."""

    columns: Annotated[list[str], Meta(min_length=1)]
    data: list[list[float | None]]
    index: list[Any] | UnsetType = UNSET


class TableRequest(Struct, forbid_unknown_fields=True):
    """The request of Azure ML for a table."""

    input_data: SplitTable


class Tensor(Struct):
    """A tensor [rows, features] in the model's order, or a tensor [rows] or [rows, 1] of one feature, by its name."""

    name: str
    shape: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1, max_length=2)]
    datatype: Literal[tuple(sorted(TENSOR_TYPES))]  # type: ignore[valid-type] # the names of the parser
    data: list[float | list[float | None] | None]


class InferRequest(Struct, forbid_unknown_fields=True):
    """A request of the Open Inference Protocol, version 2."""

    inputs: Annotated[list[Tensor], Meta(min_length=1)]
    id: Annotated[str, Meta(max_length=MAX_ID)] | None = None
    parameters: Any = None
    outputs: Any = None


class InferOutput(Struct):
    """The tensor of the predictions."""

    name: str
    datatype: Literal["FP32"]
    shape: list[int]
    data: list[float]


class InferResponse(Struct):
    """An answer of the Open Inference Protocol, version 2."""

    model_name: str
    model_version: str
    outputs: list[InferOutput]
    id: str | UnsetType = UNSET


class TensorMetadata(Struct):
    """A tensor of the model; -1 = any number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct):
    """The model's metadata in the Open Inference Protocol."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


def schemas(row_request: Any) -> dict[str, Any]:
    """JSON Schema of every structure by name, with that of feature rows."""
    types = [
        *(row_request, Predictions, VertexPredictions, Error, Health, Live, Version, TableRequest),
        *(InferRequest, InferResponse, ModelMetadata, StructuresRequest, RecordsRequest, BridgePredictions),
    ]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return components
