"""Limits that act before a body is parsed, and keys that are given twice."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_assets.serve.contracts import kserve_contract
from bridge_assets.serve.requests.request_body import (
    MAX_DEPTH,
    MAX_UNICODE_BYTES,
    _is_deeper,
    parse_json_object,
    rows_of_csv,
)
from bridge_assets.serve.requests.request_rows import MAX_ROWS, RequestError

FEATURES = ("condition", "age", "traffic")


def refusal(parse, body: bytes, *arguments: object) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        parse(body, *arguments)
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"instances": [], "instances": [{"age": 1}]}', "instances"),
        (b'{"instances": [{"age": 1, "condition": 5, "age": 90}]}', "age"),
        (b'{"instances": [{"age": 1, "\\u0061ge": 90}]}', "age"),
        (b'{"instances": [{"x": {"y": [{"": 1, "": 1}]}}]}', ""),
    ],
)
def test_a_key_that_is_given_twice_is_refused_by_name(body, name):
    assert refusal(parse_json_object, body, ["instances"], FEATURES) == (
        400,
        f"key {name!r} is given twice in the same object",
    )


def test_the_same_key_in_different_objects_is_valid():
    rows = [{"age": 1}, {"age": 2}]
    assert parse_json_object(json.dumps({"instances": rows}).encode(), ["instances"], FEATURES)["instances"] == rows


def nested(levels: int) -> bytes:
    return b'{"a": ' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_a_body_may_be_nested_up_to_the_limit():
    assert parse_json_object(nested(MAX_DEPTH), ["a"], FEATURES)
    message = f"the body is not JSON of a request: it is nested more than {MAX_DEPTH} levels deep"
    assert refusal(parse_json_object, nested(MAX_DEPTH + 1), ["a"], FEATURES) == (400, message)
    inside = b'{"a": "' + b"[" * 1000 + rb'\"[[[\\", "a2": 1}'
    assert "unknown key 'a2'" in refusal(parse_json_object, inside, ["a"], FEATURES)[1], "brackets in a text"


values = st.recursive(
    st.text(st.sampled_from('[]{}"\\,:n ')) | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('[]{}"\\,'), max_size=3), inner)
    ),
    max_leaves=60,
)


def depth(value) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(values, st.integers(0, 6))
def test_the_depth_is_that_of_the_parsed_value(value, limit):
    """With brackets, quotes and backslashes inside texts and keys."""
    body = json.dumps(value).encode()
    marks = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, bytes(set(range(256)) - set(b'[]{}",')))
    assert _is_deeper(marks, limit) == (depth(value) > limit)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"a":[' + b"0," * 50_000 + b"0]}", "values"),
        (b'{"a":[' + b"[]," * 12_000 + b"0]}", "lists"),
        (b'{"a":[' + b"{}," * 12_000 + b"0]}", "objects"),
    ],
)
def test_more_values_than_the_largest_valid_request_are_refused_before_they_are_parsed(body, what):
    status, message = refusal(parse_json_object, body + b"not JSON", ["a"], FEATURES)
    assert status == 413
    assert f" {what} are too many for one request; send at most 10,000 rows of 3 features" in message


def test_the_largest_valid_request_is_within_the_limits():
    rows = [dict.fromkeys(FEATURES, 1.5)] * MAX_ROWS
    assert len(parse_json_object(json.dumps({"a": rows}).encode(), ["a"], FEATURES)["a"]) == MAX_ROWS


def test_only_small_bodies_may_have_other_characters_than_ascii():
    wide = b'{"a": "\xc3\xa9' + b" " * MAX_UNICODE_BYTES + b'"}'
    status, message = refusal(parse_json_object, wide, ["a"], FEATURES)
    assert (status, message[:38]) == (413, "a body of more than 1 MiB may have onl")
    assert refusal(rows_of_csv, wide, FEATURES)[0] == 413
    assert parse_json_object('{"a": "é"}'.encode(), ["a"], FEATURES) == {"a": "é"}


@pytest.mark.parametrize("datatype", [[[]], {}, None, 32])
def test_a_datatype_of_a_tensor_that_is_no_text_is_refused(datatype):
    tensor = {"name": "age", "shape": [1], "datatype": datatype, "data": [1]}
    body = json.dumps({"inputs": [tensor]}).encode()
    status, message = refusal(kserve_contract("m").parse_request, body, "application/json", FEATURES)
    assert (status, message[:48]) == (422, "tensor 'age': expected a numeric datatype such a")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_json_is_utf_8(encoding):
    """RFC 8259, 8.1."""
    status, message = refusal(parse_json_object, '{"a": "é"}'.encode(encoding), ["a"], FEATURES)
    assert (status, message[:20]) == (400, "the body is not JSON")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\n1\n", (422, "the first row is empty; the first row of a CSV must have the feature names")),
        (b"age\n" + b"1\n" * 10_001, (413, "10,001 rows or more are too many for one request; send at most 10,000")),
        (b"age\n1\n2,3\n", (422, "row 1: expected 1 values, one per column, found 2")),
        (b"age,age\n", (422, "columns: feature 'age' is given twice")),
        (b"age\n" + b"1" * 65_536 + b"\n", (413, "a line of the CSV has more than 65,536 characters")),
    ],
)
def test_a_csv_is_refused_at_its_first_invalid_row(body, expected):
    assert refusal(rows_of_csv, body, FEATURES) == expected


def test_a_csv_with_the_maximum_number_of_rows_is_read():
    assert rows_of_csv(b"age\n" + b"1\n" * MAX_ROWS, FEATURES).shape == (MAX_ROWS, 3)
