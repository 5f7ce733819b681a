"""Request and response formats of each provider: a pair of functions around one array of features.

`parse_request` converts the body of a request to the array, `format_response` converts the predictions to the response.
Everything in between is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.serve.requests.request_body import parse_json_object, rows_of_csv
from bridge_assets.serve.requests.request_rows import MAX_ROWS, RequestError, rows_of_instances, rows_of_table, shown

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.serve.loaded_model import LoadedModel

TENSOR_TYPES = frozenset(
    ("FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
)

#: Characters of a request's id, which is sent back. A chosen limit.
MAX_ID = 256


@dataclass(frozen=True)
class ParsedRequest:
    """A request.

    Attributes
    ----------
    rows : np.ndarray
        Shape (n, n_features), float64, in the model's order and in natural units; NaN = missing.
    id : str, optional
    """

    rows: np.ndarray
    id: str | None = None


@dataclass(frozen=True)
class Contract:
    """One provider's format of request and response.

    Attributes
    ----------
    parse_request : callable
        (body, media type, features of the model) -> ParsedRequest. Raises RequestError.
    format_response : callable
        (predictions, model, parsed request) -> the response, as JSON.
    takes_instances : bool
        Whether a body of JSON with nothing but `instances` means these rows: such a small one is parsed by
        `requests.small_requests`.
    takes_bridges : bool
        Whether a body may have structure keys or raw records instead of rows (`serve.bridges`).
    """

    parse_request: Callable[[bytes | bytearray, str, Sequence[str]], ParsedRequest]
    format_response: Callable[[list[float], LoadedModel, ParsedRequest], dict[str, Any]]
    takes_instances: bool = False
    takes_bridges: bool = False


def _parse_instances(body: bytes | bytearray, media_type: str, features: Sequence[str]) -> ParsedRequest:
    return ParsedRequest(rows_of_instances(parse_json_object(body, ["instances"], features).get("instances"), features))


def _format_predictions(answers: list[float], model: LoadedModel, request: ParsedRequest) -> dict[str, Any]:
    return {"predictions": answers, "model_version": model.version}


def _parse_sagemaker(body: bytes | bytearray, media_type: str, features: Sequence[str]) -> ParsedRequest:
    """JSON as for `/predict`, or CSV whose first row names the features."""
    if media_type == "text/csv":
        return ParsedRequest(rows_of_csv(body, features))
    if media_type != "application/json":
        raise RequestError(f"{media_type:.60} is not supported; send application/json or text/csv", 415)
    return _parse_instances(body, media_type, features)


def _parse_vertex(body: bytes | bytearray, media_type: str, features: Sequence[str]) -> ParsedRequest:
    """`instances`; the service also forwards the caller's `parameters`, but this model has none."""
    request = parse_json_object(body, ["instances", "parameters"], features)
    if request.get("parameters"):
        raise RequestError("parameters: this model has no parameters", 422)
    return ParsedRequest(rows_of_instances(request.get("instances"), features))


def _format_vertex(answers: list[float], model: LoadedModel, request: ParsedRequest) -> dict[str, Any]:
    return {"predictions": answers}


def _parse_azureml(body: bytes | bytearray, media_type: str, features: Sequence[str]) -> ParsedRequest:
    """`instances`, or `input_data` as pandas splits a table: columns, index and data."""
    request = parse_json_object(body, ["instances", "input_data"], features)
    if "input_data" not in request:
        return ParsedRequest(rows_of_instances(request.get("instances"), features))
    split = request["input_data"]
    if not isinstance(split, dict) or not {"columns", "data"} <= split.keys() <= {"columns", "index", "data"}:
        raise RequestError("input_data: expected an object with 'columns', 'data' and optionally 'index'", 422)
    return ParsedRequest(rows_of_table(split["columns"], split["data"], features))


def _parse_kserve(body: bytes | bytearray, media_type: str, features: Sequence[str]) -> ParsedRequest:
    """One tensor [rows, features] in the model's order, or a tensor [rows] or [rows, 1] for each feature by name."""
    # Each value of a tensor [rows, 1] is a list.
    lists = MAX_ROWS * len(features)
    request = parse_json_object(body, ["id", "parameters", "inputs", "outputs"], features, lists)
    inputs, id_ = request.get("inputs"), request.get("id")
    if not isinstance(inputs, list) or not inputs:
        raise RequestError("inputs: expected a list of tensors", 422)
    if not (id_ is None or isinstance(id_, str)):
        raise RequestError("id: expected a string", 422)
    if id_ and len(id_) > MAX_ID:
        raise RequestError(f"id: expected at most {MAX_ID} characters, found {len(id_):,}", 422)
    if len(inputs) > len(features):
        raise RequestError(
            f"inputs: expected at most {len(features)} tensors, one per feature, found {len(inputs)}", 422
        )
    tensors = [_parse_tensor(number, tensor) for number, tensor in enumerate(inputs)]
    name, shape, values = tensors[0]
    if len(tensors) == 1 and name not in features:
        if len(shape) != 2 or shape[1] != len(features):
            raise RequestError(f"tensor {shown(name)}: expected the shape [rows, {len(features)}], found {shape}", 422)
        rows = [values[start : start + shape[1]] for start in range(0, len(values), shape[1])]
        return ParsedRequest(rows_of_table(list(features), rows, features), id_)
    for name, each, _ in tensors:
        if each not in ([shape[0]], [shape[0], 1]):
            raise RequestError(f"tensor {shown(name)}: expected the shape [{shape[0]}], found {each}", 422)
    rows = [list(row) for row in zip(*(values for _, _, values in tensors), strict=True)]
    return ParsedRequest(rows_of_table([name for name, _, _ in tensors], rows, features), id_)


def _parse_tensor(number: int, tensor: Any) -> tuple[str, list[int], list[Any]]:
    """Name, shape and flat values of a tensor of the KServe protocol."""
    if not isinstance(tensor, dict) or not {"name", "shape", "datatype", "data"} <= tensor.keys():
        raise RequestError(f"inputs[{number}]: expected 'name', 'shape', 'datatype' and 'data'", 422)
    name, shape, datatype, data = (tensor[key] for key in ("name", "shape", "datatype", "data"))
    if not isinstance(name, str):
        raise RequestError(f"inputs[{number}]: name: expected a string", 422)
    if not isinstance(datatype, str) or datatype not in TENSOR_TYPES:
        raise RequestError(
            f"tensor {shown(name)}: expected a numeric datatype such as FP32, found {shown(datatype, 20)}", 422
        )
    if not isinstance(shape, list) or len(shape) not in (1, 2) or not all(_is_dimension(size) for size in shape):
        raise RequestError(
            f"tensor {shown(name)}: expected one or two dimensions, found the shape {shown(shape, 40)}", 422
        )
    sizes = [int(size) for size in shape]
    width = sizes[1] if len(sizes) == 2 else 1
    if isinstance(data, list) and data and all(isinstance(row, list) and len(row) == width for row in data):
        data = [value for row in data for value in row]  # nested, as the protocol allows
    expected = sizes[0] * width
    if not isinstance(data, list) or len(data) != expected:
        found = str(len(data)) if isinstance(data, list) else "something other than a list"
        raise RequestError(f"tensor {shown(name)}: shape {sizes} needs {expected} values, found {found}", 422)
    return name, sizes, data


def _is_dimension(size: Any) -> bool:
    return isinstance(size, float) and size >= 0 and size.is_integer()  # every number in a body is parsed as a float


INSTANCES = Contract(_parse_instances, _format_predictions, takes_instances=True, takes_bridges=True)
SAGEMAKER = Contract(_parse_sagemaker, _format_predictions, takes_instances=True)
VERTEX = Contract(_parse_vertex, _format_vertex, takes_instances=True)
AZUREML = Contract(_parse_azureml, _format_predictions, takes_instances=True)


def kserve_contract(model_name: str) -> Contract:
    """The contract of the Open Inference Protocol, version 2, for a model name."""

    def format_response(answers: list[float], model: LoadedModel, request: ParsedRequest) -> dict[str, Any]:
        output = {"name": model.output_name, "datatype": "FP32", "shape": [len(answers)], "data": answers}
        named = {"id": request.id} if request.id else {}
        return {"model_name": model_name, "model_version": model.version, **named, "outputs": [output]}

    return Contract(_parse_kserve, format_response)


def kserve_metadata(model_name: str, model: LoadedModel) -> dict[str, Any]:
    """The model's metadata in that protocol."""
    return {
        "name": model_name,
        "versions": [model.version],
        "platform": "onnxruntime",
        "inputs": [{"name": name, "datatype": "FP32", "shape": [-1]} for name in model.features],
        "outputs": [{"name": model.output_name, "datatype": "FP32", "shape": [-1]}],
    }
