"""Rows of requests: what is accepted, and the errors for everything else."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_assets.serve.requests.request_body import parse_json_object, parse_number
from bridge_assets.serve.requests.request_rows import MAX_ROWS, RequestError, rows_of_instances, rows_of_table

FEATURES = ("condition", "age", "traffic")


def test_omitted_features_and_null_are_missing_values():
    table = rows_of_instances([{"age": 3, "condition": None}, {"traffic": 1.5}], FEATURES)
    assert table.dtype == np.float64
    assert np.array_equal(table, [[np.nan, 3.0, np.nan], [np.nan, np.nan, 1.5]], equal_nan=True)


def test_no_rows_give_an_empty_table():
    assert rows_of_instances([], FEATURES).shape == (0, 3)
    assert rows_of_table(["age"], [], FEATURES).shape == (0, 3)


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        (None, "instances: expected a list of rows, found null"),
        ({"age": 1}, "instances: expected a list of rows, found an object"),
        ([{"age": 1}, [1, 2, 3]], "row 1: expected an object of features, found a list"),
        ([{"age": 1}, {}], "row 1: no feature is given"),
        ([{"age": 1}, {"conditoin": 4}], "row 1: unknown feature 'conditoin'; did you mean 'condition'?"),
        ([{"colour": 4}], "row 0: unknown feature 'colour'; expected 'condition', 'age', 'traffic'"),
        ([{"age": 1}, {"age": "old"}], "row 1: feature 'age': expected a finite number or null, found the text 'old'"),
        ([{"age": True}], "row 0: feature 'age': expected a finite number or null, found a boolean"),
        ([{"age": [1]}], "row 0: feature 'age': expected a finite number or null, found a list"),
        ([{"age": {}}], "row 0: feature 'age': expected a finite number or null, found an object"),
        ([{"age": None}, {"age": float("inf")}], "row 1: feature 'age': expected a finite number or null"),
    ],
)
def test_an_invalid_row_is_rejected_with_row_and_feature(instances, message):
    with pytest.raises(RequestError) as caught:
        rows_of_instances(instances, FEATURES)
    assert caught.value.status == 422
    assert str(caught.value).startswith(message)


def test_error_messages_truncate_the_content_of_the_request():
    with pytest.raises(RequestError) as caught:
        rows_of_instances([{"x" * 10_000: 1}], FEATURES)
    assert len(str(caught.value)) < 200
    with pytest.raises(RequestError) as caught:
        rows_of_instances([{"age": "y" * 10_000}], FEATURES)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        ("age", [], "columns: expected a list of feature names"),
        ([], [], "columns: expected a list of feature names"),
        (["age", "age"], [], "columns: feature 'age' is given twice"),
        (["age", "colour"], [[1, 2]], "unknown feature 'colour'"),
        (["age"], {"0": [1]}, "data: expected a list of rows, found an object"),
        (["age"], [[1], [1, 2]], "row 1: expected 1 values, one per column, found 2"),
        (["age"], [[1], 2], "row 1: expected 1 values, one per column, found a number"),
        (["age"], [[1], ["2"]], "row 1: feature 'age': expected a finite number or null, found the text '2'"),
    ],
)
def test_an_invalid_table_is_rejected(columns, rows, message):
    with pytest.raises(RequestError, match=message) as caught:
        rows_of_table(columns, rows, FEATURES)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "parse",
    [
        lambda rows: rows_of_instances([{"age": 1.0}] * rows, FEATURES),
        lambda rows: rows_of_table(["age"], [[1.0]] * rows, FEATURES),
    ],
)
def test_the_maximum_number_of_rows_is_accepted_and_one_more_is_rejected(parse):
    assert parse(MAX_ROWS).shape == (MAX_ROWS, 3)
    with pytest.raises(RequestError, match="10,001 rows are too many for one request; send at most 10,000") as caught:
        parse(MAX_ROWS + 1)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON"),
        (b"\xff\xfe\x00", "the body is not JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number; use null for a missing value"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[1]", "expected an object with 'a', found a list"),
        (b'{"b": 1}', "unknown key 'b'; expected 'a'"),
    ],
)
def test_a_body_that_is_not_an_object_with_known_keys_is_rejected(body, message):
    with pytest.raises(RequestError, match=message) as caught:
        parse_json_object(body, ["a"], FEATURES)
    assert caught.value.status == 400


def test_very_long_numbers_are_parsed_and_rejected_as_numbers():
    huge = parse_json_object(b'{"a": ' + b"9" * 10_000 + b"}", ["a"], FEATURES)["a"]
    with pytest.raises(RequestError, match="row 0: feature 'age': expected a finite number or null"):
        rows_of_instances([{"age": huge}], FEATURES)


def test_cells_of_csv():
    assert [parse_number(cell) for cell in ("1", " 2.5 ", "", "  ", "-1e3")] == [1.0, 2.5, None, None, -1000.0]
    assert [parse_number(cell) for cell in ("x", "1_000", "1,5", "NaN")] == ["x", "1_000", "1,5", "NaN"]
