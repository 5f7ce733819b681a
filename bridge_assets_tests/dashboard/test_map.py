"""The map: what is counted in a view, and that nothing a browser sends is an error."""

from __future__ import annotations

import math

import duckdb
import pytest

from bridge_assets.dashboard.map import layer as map_layer
from bridge_assets.dashboard.map.component import view_sent
from bridge_assets.dashboard.map.layer import MAX_BRIDGES, bridges_in_view, count_unplaced, view_of
from bridge_assets.dashboard.map.view import CONTIGUOUS_STATES, MAX_PIXELS, View, degrees, mercator

BOSTON = (-71.06, 42.36)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    """100,000 bridges around Boston and in Kansas, every tenth Poor, every hundredth without coordinates."""
    made = duckdb.connect()
    made.execute(
        """create table bridges as select
            format('{}-{:06}', if(i % 2 = 0, '25', '20'), i) as structure_key,
            if(i % 2 = 0, '25', '20') as state_code,
            'MAIN ST <b>' as facility_carried, 'MILL RIVER' as features_intersected,
            if(i % 100 = 0, null, if(i % 2 = 0, 42.36, 38.5) + 0.5 * (i * 7919 % 1009) / 1009.0 - 0.25) as latitude,
            if(i % 100 = 0, null, if(i % 2 = 0, -71.06, -98.0)
                + 0.5 * (i * 104729 % 1013) / 1013.0 - 0.25) as longitude,
            cast(if(i % 10 = 1, 4, 7) as tinyint) as condition,
            cast(0.25 as float) as fall_probability
        from range(100000) r(i)"""
    )
    return made


def test_every_bridge_with_coordinates_is_counted_once(connection: duckdb.DuckDBPyConnection) -> None:
    layer = bridges_in_view(connection, "bridges", CONTIGUOUS_STATES)
    assert not layer.bridges
    assert layer.count == sum(cell[2] for cell in layer.cells) == 99_000
    assert layer.poor == sum(cell[3] for cell in layer.cells) == 10_000
    assert count_unplaced(connection, "bridges") == 1000
    assert {cell[4] for cell in layer.cells} == {0.25}
    # What is sent does not grow with the bridges.
    assert len(layer.cells) < 100


def test_a_close_view_has_the_bridges_themselves_in_their_places(connection: duckdb.DuckDBPyConnection) -> None:
    view = View(*mercator(*BOSTON), zoom=15)
    layer = bridges_in_view(connection, "bridges", view)
    assert not layer.cells
    assert 0 < len(layer.bridges) <= MAX_BRIDGES
    west, north = degrees(*view.box()[:2])
    east, south = degrees(*view.box()[2:])
    expected = connection.execute(
        "select count(*), count(*) filter (condition <= 4) from bridges where longitude between ? and ? "
        "and latitude between ? and ?",
        [west, east, south, north],
    ).fetchall()[0]
    assert (layer.count, layer.poor) == expected
    x, y, key, carried, crossed, _condition, probability = layer.bridges[0]
    assert (carried, crossed, probability) == ("MAIN ST <b>", "MILL RIVER", 0.25)
    placed = connection.execute("select longitude, latitude from bridges where structure_key = ?", [key]).fetchall()[0]
    assert degrees(x, y) == pytest.approx(placed, abs=1e-9)
    # Poor bridges are drawn last, on top.
    assert [row[5] for row in layer.bridges] == sorted((row[5] for row in layer.bridges), reverse=True)


def test_a_selection_is_a_parameter_and_never_part_of_the_statement(connection: duckdb.DuckDBPyConnection) -> None:
    assert bridges_in_view(connection, "bridges", CONTIGUOUS_STATES, "state_code = ?", ["25"]).count == 49_000
    attack = "25' or true --"
    assert bridges_in_view(connection, "bridges", CONTIGUOUS_STATES, "state_code = ?", [attack]).count == 0
    assert view_of(connection, "bridges", "state_code = ?", [attack]) is None


def test_one_wrong_coordinate_does_not_show_the_world(connection: duckdb.DuckDBPyConnection) -> None:
    wrong = "(select * from bridges union all by name select 71.06 as longitude, 42.36 as latitude, '25' as state_code)"
    view = view_of(connection, wrong, "state_code = ?", ["25"])
    assert view is not None
    assert view.zoom > 8
    assert degrees(view.x, view.y) == pytest.approx(BOSTON, abs=0.05)


def test_the_limit_of_single_bridges_counts_what_is_sent(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = View(*mercator(*BOSTON), zoom=15)
    drawn = len(bridges_in_view(connection, "bridges", view).bridges)
    monkeypatch.setattr(map_layer, "MAX_BRIDGES", drawn)
    assert bridges_in_view(connection, "bridges", view).bridges
    monkeypatch.setattr(map_layer, "MAX_BRIDGES", drawn - 1)
    layer = bridges_in_view(connection, "bridges", view)
    assert layer.cells
    assert sum(cell[2] for cell in layer.cells) == drawn


@pytest.mark.parametrize("sent", [None, {}, {"x": "0.3", "zoom": None}, {"x": math.nan, "y": math.inf}, {"x": True}])
def test_what_is_not_a_number_is_taken_from_the_default(sent: dict[str, object] | None) -> None:
    assert View.parse(sent, CONTIGUOUS_STATES) == CONTIGUOUS_STATES


def test_numbers_out_of_range_are_moved_into_it(connection: duckdb.DuckDBPyConnection) -> None:
    view = View.parse({"x": -3, "y": 9, "zoom": 99, "width": 10**9, "height": -1}, CONTIGUOUS_STATES)
    assert (view.x, view.y, view.width, view.height) == (0, 1, MAX_PIXELS, 100)
    assert bridges_in_view(connection, "bridges", view).count == 0


def test_mercator_and_back() -> None:
    for place in (BOSTON, (-179.9, 71.3), (144.8, 13.4), (0, 0)):
        assert degrees(*mercator(*place)) == pytest.approx(place)
    assert mercator(0, 90)[1] == mercator(0, 85)[1]


def test_a_view_shows_the_whole_box_that_it_was_made_for() -> None:
    left, top, right, bottom = CONTIGUOUS_STATES.box()
    (west, north), (east, south) = degrees(left, top), degrees(right, bottom)
    assert west < -125 and east > -66.5 and north > 49.5 and south < 24.4


def test_the_view_of_another_selection_is_not_used() -> None:
    session = {"map": {"view": {"x": 0.3, "y": 0.4, "zoom": 9, "width": 800, "height": 500, "selection": "25"}}}
    assert view_sent(session, "map", "25", CONTIGUOUS_STATES) == View(0.3, 0.4, 9, 800, 500)
    assert view_sent(session, "map", "20", CONTIGUOUS_STATES) == CONTIGUOUS_STATES
    assert view_sent({"map": {"view": "x"}}, "map", "25", CONTIGUOUS_STATES) == CONTIGUOUS_STATES
    assert view_sent({}, "map", "25", CONTIGUOUS_STATES) == CONTIGUOUS_STATES
