"""One bridge: all there is, and what is shown while a table is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.dashboard.home import HOSTILE_KEY, ODD_KEY, YEARS

from bridge_assets.dashboard.queries.bridge import find_bridge, near_keys, similar_bridges
from bridge_assets.dashboard.queries.rating_chart import LEFT, RIGHT, WIDTH, rating_chart
from bridge_assets.dashboard.queries.tables import MissingTableError, Tables


def test_everything_about_a_bridge(tables: Tables) -> None:
    bridge = find_bridge(tables, HOSTILE_KEY)
    assert bridge is not None and bridge.missing == []
    assert [record["survey_year"] for record in bridge.records] == list(YEARS)[::-1]
    assert [row["inspection_date"].year for row in bridge.inspections] == [2021, 2023]
    assert [row["survey_year"] for row in bridge.scores] == list(YEARS)
    assert bridge.outlook is not None and bridge.outlook["reasons"][0]["feature"] == "peers_fall_rate"
    assert bridge.poor_within is not None and bridge.poor_within["survey_year"] == YEARS[-1]
    assert [flag["name"] for flag in bridge.flags] == ["coordinate_impossible", "lowercase_code"]
    assert bridge.flags[0]["meaning"] and bridge.flags[0]["years"] == list(YEARS)
    assert bridge.former_keys[0]["old_structure_key"] == "25-OLD1"


def test_an_odd_number_is_found_and_an_unknown_one_is_none(tables: Tables) -> None:
    assert find_bridge(tables, ODD_KEY) is not None
    assert find_bridge(tables, "25-NOWHERE") is None
    assert find_bridge(tables, "' or 1=1 --") is None
    assert near_keys(tables, "25-b005") == ["25-B005"]


@pytest.mark.parametrize("table", ["mart_bridge_outlook", "int_inspections", "years_until_poor"])
def test_a_missing_table_leaves_its_part_empty_and_is_named(own_home: Path, table: str) -> None:
    lake = own_home / "lake"
    if (lake / table).is_dir():
        for path in (lake / table).iterdir():
            path.unlink()
    else:
        (lake / f"{table}.parquet").unlink()
    bridge = find_bridge(Tables(lake), HOSTILE_KEY)
    assert bridge is not None and [error.stage for error in bridge.missing] == [table]


def test_without_records_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(MissingTableError) as error:
        find_bridge(Tables(tmp_path), HOSTILE_KEY)
    assert error.value.stage == "raw_bridges"


def test_similar_bridges_are_the_nearest_of_the_same_state(tables: Tables) -> None:
    own = find_bridge(tables, "25-B020")
    similar = similar_bridges(tables, "25-B020", 5)
    assert own is not None and own.outlook is not None
    assert len(similar) == 5 and "25-B020" not in [row["structure_key"] for row in similar]
    assert {row["state_code"] for row in similar} == {"25"}
    assert (
        abs(similar[0]["condition"] - own.outlook["condition"])
        <= abs(similar[-1]["condition"] - own.outlook["condition"]) + 3
    )
    assert similar_bridges(tables, "25-B020", 0) == []


def test_the_chart_is_inside_its_frame(tables: Tables) -> None:
    bridge = find_bridge(tables, HOSTILE_KEY)
    assert bridge is not None
    chart = rating_chart(bridge.inspections, YEARS[-1])
    assert chart is not None and [name for _, name, _ in chart.lines] == [
        "deck",
        "superstructure",
        "substructure",
        "condition",
    ]
    for _, _, points in chart.lines:
        for point in points.split():
            assert LEFT <= float(point.split(",")[0]) <= WIDTH - RIGHT
    assert rating_chart([], YEARS[-1]) is None
