"""One raw record: every item by name and by number, and errors in NBI's own words."""

from __future__ import annotations

import polars as pl
import pytest

from bridge_assets.data.records.single_record import RecordError, parse_record, record_table, structure_key
from bridge_assets.nbi.coding_guide.items import ITEMS
from bridge_assets.nbi.derived import inspection_date
from bridge_assets.nbi.derived import structure_key as structure_key_expression

RECORD = {"STATE_CODE_001": "25", "STRUCTURE_NUMBER_008": " 00B16123 ", "DECK_COND_058": "6", "ADT_029": "1200"}


def test_items_are_found_by_name_and_by_number() -> None:
    by_number = parse_record({"1": 25, "008": "'00B16123'", "58": 6, "item 29": 1200.0})
    assert by_number == parse_record(RECORD) == parse_record({name.lower(): value for name, value in RECORD.items()})
    assert by_number.structure_key == "25-B16123"
    assert by_number.items["ADT_029"] == 1200


@pytest.mark.parametrize("item", [item for item in ITEMS if item.number], ids=lambda item: item.name)
def test_every_item_has_one_number(item) -> None:
    values = {**RECORD, item.name: None, item.number.zfill(4): ""}
    with pytest.raises(RecordError, match=rf"item {item.number} \({item.name}.* is given twice"):
        parse_record(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"58": "12"},
            r"item 58 \(DECK_COND_058, deck condition\): '12' is not one of its codes; allowed: 0 .* 9 .* N",
        ),
        ({"43A": "19"}, r"item 43A .*: '19' is not one of its codes; allowed: 0 \(Other.*, 1 \(Concrete\)"),
        ({"22": "XX"}, r"item 22 .*: 'XX' is not one of its codes; allowed: 01, 02"),
        ({"29": "many"}, r"item 29 \(ADT_029, average daily traffic, vehicles per day\): 'many' is not a number"),
        ({"29": 1.5}, r"item 29 .*: 1\.5 is not a whole number"),
        ({"29": "9" * 20}, r"item 29 .* is too large a number"),
        ({"49": "nan"}, r"item 49 \(STRUCTURE_LEN_MT_049, structure length, in m\): 'nan' is not a number"),
        ({"49": float("inf")}, r"item 49 .*: inf is too large a number"),
        ({"16": "42.3"}, r"item 16 .*: '42\.3' is not DDMMSSss"),
        ({"58": True}, r"item 58 .*: expected a text or a number, found true or false"),
        ({"58": ["6"]}, r"item 58 .*: expected a text or a number, found a list"),
        ({"58": 5.5}, r"item 58 .*: 5\.5 is not a code; send codes as text"),
        ({"9": "x" * 300}, r"item 9 .*: 300 characters are too many"),
        ({"9": "a\0b"}, r"item 9 .*: it has a character that cannot be printed"),
        ({"DECK_COND_58": "5"}, r"'DECK_COND_58' is not an NBI item; did you mean item 58 \(DECK_COND_058"),
        ({"zzz": "5"}, r"'zzz' is not an NBI item; use a name such as DECK_COND_058 or a number such as 58"),
        ({"5A": "2"}, r"item 5A .*: '2' is a route under a bridge; only record type 1"),
        ({"STATE_CODE_001": ""}, r"item 1 \(STATE_CODE_001, state, FIPS code\) is missing"),
        ({"STATE_CODE_001": "99"}, r"item 1 .*: '99' is not one of its codes"),
        (
            {"DECK_COND_058": "N"},
            r"no condition rating: items 58 \(deck\), 59 .* all blank or N; at least one must be 0",
        ),
        ({"survey_year": 1891}, r"survey_year: 1891 is not the year of an NBI file, 1992 or later"),
        ({"survey_year": "soon"}, r"survey_year: 'soon' is not the year"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_what_is_allowed(change, message) -> None:
    by_number = {"58": "DECK_COND_058", "29": "ADT_029"}
    values = {name: value for name, value in RECORD.items() if name not in map(by_number.get, change)} | change
    with pytest.raises(RecordError, match=message):
        parse_record(values)


@pytest.mark.parametrize("text", ["1299", "0", "224", "1322", "0000", "124", "12345", " ", "1230", "0101"])
def test_the_year_of_an_inspection_is_read_as_in_a_file(text) -> None:
    table = pl.DataFrame({"DATE_OF_INSPECT_090": [text.strip() or None]}, schema={"DATE_OF_INSPECT_090": pl.String})
    found = table.select(inspection_date(2025)).item()
    assert parse_record({**RECORD, "90": text}).inspection_year(2025) == (found and found.year)


def test_a_date_that_is_none_is_refused_with_the_number_of_the_record() -> None:
    records = [parse_record(RECORD), parse_record({**RECORD, "90": "1399"})]
    with pytest.raises(RecordError, match=r"item 90 .*: '1399' is not MMYY, such as 0624 for June 2024") as refused:
        record_table(records, 2025, frozenset())
    assert refused.value.record == 1


@pytest.mark.parametrize(("state", "number"), [("1", "000"), ("014", " 0A B "), ("72", "0")])
def test_a_key_is_the_one_of_a_file(state, number) -> None:
    table = pl.DataFrame({"STATE_CODE_001": [state], "STRUCTURE_NUMBER_008": [number]})
    assert structure_key(state, number) == table.select(structure_key_expression()).item()
