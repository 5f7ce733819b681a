"""The codes of the items, compared with the Coding Guide and with real files."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import polars as pl
import pytest

from bridge_assets.data.ingest.pandas_api import load_bridge_data
from bridge_assets.nbi.coding_guide.code_check import CHECKED_ITEMS, find_invalid_codes
from bridge_assets.nbi.coding_guide.codes import (
    STATE_NAMES,
    accepted_codes,
    coded_items,
    codes_of,
    is_code,
    meaning_of,
    summarize_codes,
)
from bridge_assets.nbi.coding_guide.items import ITEM_NAMES, ITEMS, ITEMS_BY_NAME, ItemKind
from bridge_assets.nbi.coding_guide.layouts import years_of
from bridge_assets.nbi.schema import description_of

#: Tables of the real guide that we do not have, and why.
NOT_OURS = {
    "BASE_HIGHWAY_NETWORK_012": "the same table as BASE_HWY_NETWORK_012, under a name that is in no file",
    "INVENTORY_RATING_066": "the table of the appraisal ratings (67 to 72) under a wrong name: item 66 is metric tons",
}


def test_every_state_and_territory_and_the_district_is_listed_once() -> None:
    assert len(STATE_NAMES) == 56 and len(set(STATE_NAMES.values())) == 56
    assert all(len(code) == 2 and code.isdigit() for code in STATE_NAMES)
    assert list(STATE_NAMES) == sorted(STATE_NAMES)


def test_only_coded_items_have_codes_and_each_has_a_one_line_meaning() -> None:
    assert set(coded_items()) <= {item.name for item in ITEMS if item.kind is ItemKind.CODE}
    for item in ITEMS:
        for code, meaning in item.codes.items():
            assert re.fullmatch(r"[0-9A-Z*]{1,3}", code), (item.name, code)
            assert meaning and meaning == meaning.strip() and len(meaning) < 110, (item.name, code)


def test_no_two_codes_of_an_item_differ_only_in_leading_zeros() -> None:
    for name in coded_items():
        bare = [code.lstrip("0") or "0" for code in codes_of(name)]
        assert len(set(bare)) == len(bare), name


def test_a_code_is_the_same_with_and_without_leading_zeros() -> None:
    assert is_code("OWNER_022", "01") and is_code("OWNER_022", "1") and is_code("OWNER_022", "001")
    assert meaning_of("OWNER_022", "1") == meaning_of("OWNER_022", "01") == "State highway agency"
    assert not is_code("OWNER_022", "99") and meaning_of("OWNER_022", "99") is None
    assert is_code("STRUCTURE_TYPE_043B", "0") and is_code("DECK_COND_058", "07")


def test_a_lower_case_code_is_read_as_upper_case() -> None:
    assert is_code("DECK_COND_058", "n") and meaning_of("DECK_COND_058", "n") == "Not applicable"


def test_a_state_may_include_its_region_and_is_not_mistaken_for_another() -> None:
    assert meaning_of("STATE_CODE_001", "020") == meaning_of("OTHER_STATE_CODE_098A", "020") == "Alaska"
    assert meaning_of("STATE_CODE_001", "20") == "Kansas"
    assert not is_code("STATE_CODE_001", "14") and "14" not in accepted_codes("OTHER_STATE_CODE_098A")


@pytest.mark.parametrize(("value", "known"), [("N", True), ("Y24", True), ("N00", True), ("Y", False), ("24", False)])
def test_item_92_is_a_letter_and_an_interval(value: str, known: bool) -> None:
    assert is_code("FRACTURE_092A", value) is known


def test_items_without_a_code_list_accept_any_text() -> None:
    assert is_code("STRUCTURE_NUMBER_008", "?!") and codes_of("STRUCTURE_NUMBER_008") == {}
    assert summarize_codes("STRUCTURE_NUMBER_008") == ""


def test_a_long_code_list_is_abbreviated() -> None:
    assert summarize_codes("RAILINGS_036A") == "0, 1, N"
    assert summarize_codes("OWNER_022", limit=3) == "01, 02, 03, …"


def test_a_description_lists_codes_and_years() -> None:
    assert years_of("STATUS") == ((2010, 2011),)
    assert years_of("STATUS_NO_10YR_RULE") == ((1992, 2009), (2012, 2018))
    assert years_of("LOWEST_RATING") == ((2017, 2025),)
    assert description_of(ITEMS_BY_NAME["TOLL_020"]) == "Item 20. Toll. Codes: 1, 2, 3, 4, 5"
    assert description_of(ITEMS_BY_NAME["REMARKS"]) == "Remarks. In the files of 1992 to 2018"
    assert all(years_of(item.name) for item in ITEMS)


def published_tables(folder: Path) -> dict[str, list[str]]:
    """Item -> codes in the tables of the real guide; some have multi-line descriptions, some blank rows."""
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter=";"))[1:]
        tables[path.stem] = [row[0].strip() for row in rows if row and row[0].strip()]
    return tables


def test_we_have_every_code_of_the_real_guide(real_data) -> None:
    tables = published_tables(real_data / "coding_tables")
    assert len(tables) > 50
    foreign = {name for name in tables if name not in ITEM_NAMES or not codes_of(name)}
    assert foreign == set(NOT_OURS)
    lacking = {
        (name, code)
        for name in tables.keys() - foreign
        for code in tables[name]
        if not is_code(name, code) or (name != "STATE_CODE_001" and meaning_of(name, code) is None)
    }
    assert lacking == set()


def test_state_names_agree_with_the_real_guide(real_data) -> None:
    # The codes of the guide have the FHWA region as third digit, and its table truncates some names.
    with (real_data / "coding_tables" / "STATE_CODE_001.csv").open(encoding="utf-8", newline="") as file:
        published = {row[0].strip()[:2]: row[1].strip() for row in list(csv.reader(file, delimiter=";"))[1:]}
    assert len(published) == 52
    assert {code: STATE_NAMES[code] for code in published if not STATE_NAMES[code].startswith(published[code])} == {}


def test_real_files_contain_no_code_that_we_lack(real_data) -> None:
    files = sorted([*(real_data / "nbi").glob("*/*.txt"), real_data / "nbi" / "AK19.txt"])
    assert len(files) > 30
    unknown, checked = {}, 0
    for path in files:
        table = pl.from_pandas(load_bridge_data(str(path))[list(CHECKED_ITEMS)])
        checked += sum(table.height - column.null_count() for column in table.get_columns())
        for name, rows in find_invalid_codes(table).unknown.items():
            unknown[path.name, name] = table[name].filter(rows).unique().to_list()
    assert unknown == {} and checked > 200_000
