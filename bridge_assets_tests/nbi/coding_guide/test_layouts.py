"""Layouts are recognised by their columns, whatever the year; differences are named."""

from __future__ import annotations

import pytest
from support.nbi_files import layout_of

from bridge_assets.errors import LayoutError
from bridge_assets.nbi.coding_guide.items import ITEM_NAMES
from bridge_assets.nbi.coding_guide.layouts import LAYOUTS, layout_of_year, match_layout

FIXTURES = {"nbi_1992": "1992", "nbi_2010": "2010", "nbi_2012": "1992", "nbi_2016": "2016", "nbi_2017": "2017"}


def test_column_counts_are_those_published_by_fhwa() -> None:
    assert {layout.name: len(layout.columns) for layout in LAYOUTS} == {
        "1992": 134, "2010": 133, "2016": 135, "2017": 137, "2019": 123,
    }  # fmt: skip


def test_every_layout_maps_onto_the_one_list_of_items() -> None:
    for layout in LAYOUTS:
        assert set(layout.canonical_columns) <= set(ITEM_NAMES)
        assert len(set(layout.canonical_columns)) == len(layout.columns)


@pytest.mark.parametrize(("name", "layout"), FIXTURES.items())
def test_real_headers_are_recognised(real_data, name: str, layout: str) -> None:
    assert layout_of(real_data / "nbi" / "layouts" / f"{name}.txt").name == layout


def test_a_real_state_file_of_2019_is_recognised(real_data) -> None:
    assert layout_of(real_data / "nbi" / "AK19.txt").name == "2019"


@pytest.mark.parametrize("year", range(1992, 2026))
def test_every_published_year_has_one_layout(year: int) -> None:
    assert sum(any(first <= year <= last for first, last in layout.years) for layout in LAYOUTS) == 1
    assert layout_of_year(year) in LAYOUTS


def test_years_without_a_delimited_layout_are_refused() -> None:
    with pytest.raises(ValueError, match="1992 to 2025"):
        layout_of_year(2026)


def test_a_missing_and_an_unknown_column_are_named() -> None:
    columns = [column for column in layout_of_year(2019).columns if column != "ADT_029"] + ["MY_COLUMN"]
    with pytest.raises(LayoutError, match=r"missing: 'ADT_029'; not expected: 'MY_COLUMN'") as error:
        match_layout(columns, "AK19.txt")
    assert "What to do" in str(error.value)


def test_columns_in_another_order_are_not_the_layout() -> None:
    columns = list(layout_of_year(2019).columns)
    columns[3], columns[4] = columns[4], columns[3]
    with pytest.raises(LayoutError, match="in a different order"):
        match_layout(columns, "AK19.txt")
