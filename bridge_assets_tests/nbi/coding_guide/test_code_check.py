"""Values outside the code lists are found in every type of coded items."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_assets.nbi.coding_guide.code_check import CHECKED_ITEMS, code_problems, find_invalid_codes
from bridge_assets.nbi.coding_guide.codes import is_code

TABLE = pl.DataFrame(
    {
        "OWNER_022": ["01", "99", None, "XX", "1", "99"],
        "DECK_COND_058": ["7", "N", "n", None, "0", "9"],
        "FRACTURE_092A": ["N", "Y24", "Y2", "N", None, "N00"],
        "COUNTY_CODE_003": ["001", "?", "", "x", None, "999"],
    }
)


def as_dictionaries(table: pl.DataFrame) -> pa.Table:
    arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.table({name: arrow[name].dictionary_encode() for name in arrow.column_names})


KINDS = {
    "String": lambda table: table,
    "Categorical": lambda table: table.cast(pl.Categorical),
    "Enum": lambda table: table.select(column.cast(pl.Enum(column.drop_nulls().unique())) for column in table),
    "Arrow dictionary": as_dictionaries,
    "Arrow text": lambda table: table.to_arrow(compat_level=pl.CompatLevel.oldest()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_and_lower_case_codes_are_distinguished(kind: str) -> None:
    invalid = find_invalid_codes(KINDS[kind](TABLE))
    assert {name: rows.arg_true().to_list() for name, rows in invalid.unknown.items()} == {
        "OWNER_022": [1, 3, 5],
        "FRACTURE_092A": [2],
    }
    assert {name: rows.arg_true().to_list() for name, rows in invalid.lowercase.items()} == {"DECK_COND_058": [2]}


def test_a_dictionary_may_contain_values_that_no_row_has() -> None:
    table = as_dictionaries(TABLE).slice(4, 1)
    assert find_invalid_codes(table).unknown == {} and code_problems(table) == []


def test_chunks_are_one_column() -> None:
    table = pa.concat_tables([as_dictionaries(TABLE.head(2)), as_dictionaries(TABLE.tail(4))])
    assert find_invalid_codes(table).unknown["OWNER_022"].arg_true().to_list() == [1, 3, 5]
    assert code_problems(table) == code_problems(TABLE)


def test_a_problem_lists_item_values_and_counts() -> None:
    assert code_problems(TABLE) == [
        "item 22 (OWNER_022) has 3 values outside its code list: '99' (2), 'XX' (1)",
        "item 92A (FRACTURE_092A) has 1 values outside its code list: 'Y2' (1)",
    ]


def test_a_table_without_items_has_no_problems() -> None:
    assert code_problems(pl.DataFrame({"a": [1]})) == []


@given(
    name=st.sampled_from(CHECKED_ITEMS),
    values=st.lists(
        st.none() | st.sampled_from(["0", "1", "01", "N", "n", "A", "K", "Y24", "99", "*"]) | st.text("01Nx")
    ),
)
def test_every_row_is_checked_by_its_own_value(name: str, values: list[str | None]) -> None:
    table = pl.DataFrame({name: values}, schema={name: pl.String})
    expected = [value is not None and not is_code(name, value) for value in values]
    for kind in ("String", "Categorical", "Arrow dictionary"):
        rows = find_invalid_codes(KINDS[kind](table)).unknown.get(name)
        assert (rows.to_list() if rows is not None else [False] * len(values)) == expected
