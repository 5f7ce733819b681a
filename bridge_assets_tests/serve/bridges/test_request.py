"""Requests by structure key or raw record: what they may hold, and what is said about the others."""

from __future__ import annotations

import json
import time

import pytest

from bridge_assets.serve.bridges.request import MAX_BRIDGES, MAX_EXPLAINED, concerns_bridges, parse_body, parse_request
from bridge_assets.serve.requests.request_rows import RequestError

BRIDGE = {"state": "25", "structure": "B16123"}


def test_a_key_is_given_in_any_form_that_a_file_has() -> None:
    forms = [BRIDGE, {"state": 25, "structure": " 00B16123 "}, {"state": "251", "structure": "B16123"}]
    assert parse_request({"structures": forms}).keys == ("25-B16123",) * 3
    assert parse_request({"structures": [{"state": 1, "structure": 7.0}]}).keys == ("01-7",)


def test_rows_of_features_are_no_bridges() -> None:
    assert not concerns_bridges({"instances": []})
    assert concerns_bridges({"records": []})
    assert concerns_bridges({"instances": [], "structures": []})


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"structures": []}, 422, "structures: expected a list of objects, found an empty list"),
        ({"structures": BRIDGE}, 422, "structures: expected a list of objects, found an object"),
        ({"structures": ["25-B16123"]}, 422, "structure 0: expected an object, found the text '25-B16123'"),
        ({"structures": [{"state": "25"}]}, 422, "structure 0: structure: expected the text of item 8, found nothing"),
        ({"structures": [{"structure": "1"}]}, 422, "structure 0: state: expected the text of item 1, two digits"),
        ({"structures": [BRIDGE, {"state": "77", "structure": "1"}]}, 422, "structure 1: state: '77' is not a state"),
        ({"structures": [{**BRIDGE, "county": "1"}]}, 422, "structure 0: unknown key 'county'; expected 'state' and"),
        (
            {"structures": [{"state": "25", "structure": "1" * 41}]},
            422,
            "structure 0: structure: 41 characters are too",
        ),
        ({"structures": [{"state": True, "structure": "1"}]}, 422, "structure 0: state: expected the text of item 1"),
        ({"structures": [BRIDGE], "records": [{}]}, 422, "send 'structures' or 'records', not both"),
        ({"structures": [BRIDGE], "instances": []}, 422, "'instances' does not go with structures or records"),
        ({"records": [{}], "explained": True}, 422, "'explained' does not go with structures or records; expected 'ex"),
        ({"records": [{}], "explain": 1}, 422, "explain: expected true or false, found a number"),
        ({"records": [{}] * (MAX_BRIDGES + 1)}, 413, "1,001 records are too many for one request; send at most 1,000"),
        ({"records": [{}] * (MAX_EXPLAINED + 1), "explain": True}, 413, "51 records are too many for one request with"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(request_, status, message) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request(request_)
    assert (refused.value.status, message in str(refused.value)) == (status, True), str(refused.value)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "the body is not JSON"),
        (b"\xff\xfe", 400, "the body is not JSON"),
        (b'{"records": [{"29": NaN}]}', 400, "NaN is not a JSON number"),
        (b'{"records": [{"58": "5", "58": "6"}]}', 400, "key '58' is given twice"),
        (b"[1]", 400, "the body: expected an object, found a list"),
        (b"[" * 1500 + b"]" * 1500, 400, "the body is not JSON"),
        (b"[" * 3000, 413, "3,000 lists are too many"),
        (b"{" * 3000, 413, "3,000 objects are too many"),
        (b'{"records": [' + b"1," * 200_000 + b"1]}", 413, "values are too many"),
    ],
    ids=["open", "no text", "NaN", "twice", "a list", "deep", "lists", "objects", "values"],
)
def test_a_body_is_counted_before_it_is_parsed(body, status, message) -> None:
    with pytest.raises(RequestError) as refused:
        parse_body(body)
    assert (refused.value.status, message in str(refused.value)) == (status, True), str(refused.value)


def test_a_thousand_records_with_every_item_are_accepted() -> None:
    from bridge_assets.nbi.coding_guide.items import ITEM_NAMES

    body = json.dumps({"records": [dict.fromkeys(ITEM_NAMES, "1")] * MAX_BRIDGES}).encode()
    assert len(parse_request(parse_body(body)).records) == MAX_BRIDGES


def test_a_key_that_is_given_twice_among_many_is_found_at_once() -> None:
    keys = ",".join(f'"k{number}":1' for number in range(60_000))
    began = time.perf_counter()
    with pytest.raises(RequestError, match="key 'k59999' is given twice"):
        parse_body(f'{{"records": [{{{keys},"k59999":2}}]}}'.encode())
    assert time.perf_counter() - began < 10  # 0.1 s; comparing every key with every other takes a minute
