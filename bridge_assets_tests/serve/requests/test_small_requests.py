"""Small requests: parsed quickly only if the strict parser would accept them, with the same rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_assets.serve.contracts import AZUREML, INSTANCES
from bridge_assets.serve.requests.request_rows import MAX_ROWS, RequestError
from bridge_assets.serve.requests.small_requests import SmallRequests

FEATURES = ("condition", "age", "on: the coast", "größe")
PARSER = SmallRequests(FEATURES)

numbers = st.none() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
rows = st.dictionaries(st.sampled_from(FEATURES), numbers, min_size=1)


def strict(body: bytes) -> np.ndarray:
    return INSTANCES.parse_request(body, "application/json", FEATURES).rows


@given(st.lists(rows, min_size=1, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_valid_rows_are_those_of_the_strict_parser_to_the_last_bit(instances, ascii_only, indent):
    body = json.dumps({"instances": instances}, ensure_ascii=ascii_only, indent=indent).encode()
    found = PARSER.rows(body)
    # A colon in a name looks like a repeated key: such a name is left to the strict parser.
    if found is None:
        assert any(FEATURES[2] in row for row in instances)
    else:
        np.testing.assert_array_equal(found, strict(body))


def test_a_row_of_all_features_or_of_one_is_parsed_quickly():
    whole = {name: 1.5 for name in FEATURES if ":" not in name}
    found = PARSER.rows(json.dumps({"instances": [whole, {"age": None}]}).encode())
    np.testing.assert_array_equal(found, [[1.5, 1.5, np.nan, 1.5], [np.nan] * 4])


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [{"age": 1, "age": 2}]}',
        b'{"instances": [{"age": null, "age": 2}]}',
        b'{"instances": [{"age": 1, "\\u0061ge": 2}]}',
        b'{"instances": [{"age": 1}], "instances": [{"age": 2}]}',
        b'{"instances": [{}]}',
        b'{"instances": [{"age": 1}, {}]}',
        b'{"instances": [{"age": true}]}',
        b'{"instances": [{"age": "1"}]}',
        b'{"instances": [{"age": NaN}]}',
        b'{"instances": [{"age": 1e999}]}',
        b'{"instances": [{"age": [1]}]}',
        b'{"instances": [{"colour": 1}]}',
        b'{"instances": [[1, 2, 3, 4]]}',
        b'{"instances": {"age": 1}}',
        b'{"instances": [{"age": 1}], "parameters": {}}',
        b'{"instances": [{"age": 1}]} x',
        b"[" * 100_000,
        b'{"instances": ' + b"[" * 100_000,
        b"",
    ],
)
def test_what_the_strict_parser_refuses_is_left_to_it(body):
    assert PARSER.rows(body) is None
    with pytest.raises(RequestError):
        strict(body)


def test_more_rows_than_allowed_and_none_are_left_to_the_strict_parser():
    assert PARSER.rows(b'{"instances": []}') is None
    most = PARSER.rows(json.dumps({"instances": [{"age": 1}] * MAX_ROWS}).encode())
    assert most is not None
    assert most.shape == (MAX_ROWS, 4)
    assert PARSER.rows(json.dumps({"instances": [{"age": 1}] * (MAX_ROWS + 1)}).encode()) is None


@given(st.binary(max_size=60) | st.text('{}[]":,instances age1.0null', max_size=80).map(str.encode))
def test_whatever_is_parsed_quickly_the_strict_parser_accepts_as_well(body):
    for each in (body, b'{"instances": [{"age": 1' + body, b'{"instances": [{"age": 1, ' + body + b"}]}"):
        if (found := PARSER.rows(each)) is not None:
            np.testing.assert_array_equal(found, strict(each))


#: Of features whose values are known.
KNOWN = ("condition", "age", "longitude")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"condition": 12}, "row 1: condition 12: a rating is 0 to 9 (NBI items 58-60, 62)"),
        ({"condition": -1}, "row 1: condition -1: a rating is 0 to 9 (NBI items 58-60, 62)"),
        ({"age": 1962}, "row 1: age 1962: it is a number of years, 0 to 400 (NBI item 27)"),
        ({"longitude": 860_000}, "row 1: longitude 860000: a longitude is -180 to 180 degrees; west of Greenwich"),
    ],
)
def test_a_value_that_its_feature_cannot_have_is_refused_in_the_words_of_its_item(row, message):
    for rows in ([{"condition": 5}, row], [{"condition": 5.0, "age": 3, "longitude": None}, row]):
        body = json.dumps({"instances": rows}).encode()
        assert SmallRequests(KNOWN).rows(body) is None
        with pytest.raises(RequestError) as caught:
            INSTANCES.parse_request(body, "application/json", KNOWN)
        assert (caught.value.status, str(caught.value)[: len(message)]) == (422, message)


def test_a_table_with_some_of_the_columns_has_the_same_limits():
    body = json.dumps({"input_data": {"columns": ["age", "condition"], "data": [[3, 12]]}}).encode()
    with pytest.raises(RequestError, match="row 0: condition 12: a rating is 0 to 9"):
        AZUREML.parse_request(body, "application/json", KNOWN)


def test_the_limits_are_included_and_a_rounding_error_outside_is_accepted():
    for value in (0, 9, 9.004, -1e-7):
        body = json.dumps({"instances": [{"condition": value, "age": None}]}).encode()
        expected = INSTANCES.parse_request(body, "application/json", KNOWN).rows
        np.testing.assert_array_equal(SmallRequests(KNOWN).rows(body), expected)
        assert expected[0, 0] == value
