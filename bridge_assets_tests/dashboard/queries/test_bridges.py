"""The inspection list: search, filters, order, pages and files."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from support.dashboard.home import FORMULA_KEY, FORMULA_NAME, HOSTILE_KEY, HOSTILE_NAME, ODD_KEY

from bridge_assets.dashboard.queries.bridges import SORTS, BridgeFilter, bridge_page, download, list_states
from bridge_assets.dashboard.queries.tables import Tables


def keys(tables: Tables, wanted: BridgeFilter, rows: int = 100) -> list[str]:
    return [row["structure_key"] for row in bridge_page(tables, wanted, 1, rows).rows]


def test_pages_hold_every_bridge_once(tables: Tables) -> None:
    pages = [bridge_page(tables, BridgeFilter(), number, 25) for number in range(1, 5)]
    assert [(page.total, page.pages, page.number, page.first) for page in pages] == [
        (80, 4, 1, 0),
        (80, 4, 2, 25),
        (80, 4, 3, 50),
        (80, 4, 4, 75),
    ]
    assert len({row["structure_key"] for page in pages for row in page.rows}) == 80


@pytest.mark.parametrize(("number", "got"), [(-3, 1), (0, 1), (99, 4)])
def test_a_page_that_does_not_exist_is_the_nearest(tables: Tables, number: int, got: int) -> None:
    assert bridge_page(tables, BridgeFilter(), number, 25).number == got


def test_every_word_of_a_search_counts_in_any_case(tables: Tables) -> None:
    assert keys(tables, BridgeFilter(search="route mill 55")) == keys(tables, BridgeFilter(search="MILL 55 Route"))
    assert keys(tables, BridgeFilter(search="ROUTE 55")) == ["48-B016"]
    assert keys(tables, BridgeFilter(search="a&b #3/Ü")) == [ODD_KEY]
    assert keys(tables, BridgeFilter(search="100%_")) == []  # no wildcards


@pytest.mark.parametrize(
    ("wanted", "column", "value"),
    [
        (BridgeFilter(state="48"), "state_code", "48"),
        (BridgeFilter(condition_class="Poor"), "condition_class", "Poor"),
        (BridgeFilter(listed_as="Poor now"), "listed_as", "Poor now"),
    ],
)
def test_a_filter_keeps_what_it_names(tables: Tables, wanted: BridgeFilter, column: str, value: str) -> None:
    page = bridge_page(tables, wanted, 1, 100)
    everything = bridge_page(tables, BridgeFilter(), 1, 100).rows
    assert page.rows and page.total == sum(row[column] == value for row in everything)


@pytest.mark.parametrize("name", SORTS)
@pytest.mark.parametrize("descending", [True, False])
def test_an_order_is_an_order_with_missing_values_last(tables: Tables, name: str, descending: bool) -> None:
    rows = bridge_page(tables, BridgeFilter(sort=name, descending=descending), 1, 100).rows
    values = [row[SORTS[name][0]] for row in rows]
    present = [value for value in values if value is not None]
    assert present == sorted(present, reverse=descending)
    assert values[: len(present)] == present


def test_an_unknown_order_is_the_first_one(tables: Tables) -> None:
    hostile = BridgeFilter(sort="adt; drop table x", condition_class="'; --", listed_as="x")
    assert keys(tables, hostile) == keys(tables, BridgeFilter())


def test_a_file_holds_the_list_in_its_order(tables: Tables, tmp_path: Path) -> None:
    wanted = BridgeFilter(state="25", sort="traffic", descending=False)
    for name in ("list.csv", "list.parquet"):
        download(tables, wanted, tmp_path / name)
    parquet = pl.read_parquet(tmp_path / "list.parquet")
    csv = pl.read_csv(tmp_path / "list.csv", schema_overrides={"state_code": pl.String, "county_code": pl.String})
    expected = keys(tables, wanted)
    assert parquet["structure_key"].to_list() == csv["structure_key"].to_list() == expected
    assert parquet["reasons"].dtype == pl.List and "reasons" not in csv.columns
    names = dict(zip(csv["structure_key"], csv["facility_carried"], strict=True))
    assert names[FORMULA_KEY] == f"'{FORMULA_NAME}"  # a spreadsheet shows it and does not run it
    assert names[HOSTILE_KEY] == HOSTILE_NAME
    assert dict(zip(parquet["structure_key"], parquet["facility_carried"], strict=True))[FORMULA_KEY] == FORMULA_NAME
    assert csv["county_code"][0] == "001"


def test_the_states_of_the_list(tables: Tables) -> None:
    assert list_states(tables) == ["25", "48"]
