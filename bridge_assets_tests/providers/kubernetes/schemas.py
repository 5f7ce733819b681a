"""Validation of applied objects against the real schemas, with the API server's answers."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import kubernetes_validate
from providers.kubernetes.errors import ApiError, type_problem, typed_patch_error
from providers.kubernetes.owners import FieldPath, path_text

_SCHEMAS = "1.34"


def validate(document: dict[str, Any]) -> None:
    """500 for an unknown or ill-typed field, as server-side apply answers; 422 for a missing one."""
    _validate(json.dumps({part: value for part, value in document.items() if part != "status"}, sort_keys=True))


@lru_cache(maxsize=512)
def _validate(text: str) -> None:
    document = json.loads(text)
    try:
        kubernetes_validate.validate(document, _SCHEMAS, strict=True)
    except kubernetes_validate.ValidationError as error:
        raise _api_error(document, error) from None


def _api_error(document: dict[str, Any], error: Any) -> ApiError:
    name, path = document["metadata"]["name"], _field_path(document, list(error.path))
    if error.validator == "required":
        what = f'{document["kind"]} "{name}" is invalid'
        return ApiError(422, "Invalid", f"{what}: {path_text(path)[1:]}: Required value: {error.message}")
    if error.validator == "additionalProperties":
        unknown = sorted(error.instance.keys() - error.schema["properties"].keys())
        problems = [f"{path_text((*path, each))}: field not declared in schema" for each in unknown]
    else:
        expected = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        problems = [f"{path_text(path)}: {type_problem(str(expected[0]), error.instance)}"]
    lines = "\n".join(f"  {each}" for each in problems)
    return typed_patch_error(name, document, problems[0] if len(problems) == 1 else f"errors:\n{lines}")


def _field_path(document: dict[str, Any], keys: list[Any]) -> FieldPath:
    """The server names an item of a list by its merge key, where the schema counts."""
    path, place = [], document
    for key in keys:
        place = place[key]
        named = isinstance(key, int) and isinstance(place, dict) and "name" in place
        path.append(f"[{json.dumps({'name': place['name']})}]" if named else str(key))
    return tuple(path)
