"""Which changes of a share count as a jump."""

from __future__ import annotations

import polars as pl
import pytest

from bridge_assets.data.quality.jumps import JUMP_SCHEMA, MIN_YEARS, detect_jumps
from bridge_assets.data.quality.measures import SUMMARY_SCHEMA

NATION, STATE = 600_000, 10_000


def summaries(
    shares: dict[int, float],
    measure: str = "flag",
    name: str = "adt_impossible",
    state: str = "all",
    of: int = NATION,
    had: range | None = None,
) -> pl.DataFrame:
    """A share by survey year; a missing item is in the layouts of the years in `had`."""
    rows = []
    for year, share in shares.items():
        rows.append((year, state, "rows", "loaded", of, of, 1.0))
        if share:
            rows.append((year, state, measure, name, round(share * of), of, share))
        elif state == "all" and (had is None or year in had):
            rows.append((year, state, measure, name, 0, of, 0.0))
        if state != "all":
            rows.append((year, "all", "rows", "loaded", NATION, NATION, 1.0))
            if measure == "missing" and (had is None or year in had):
                rows.append((year, "all", measure, name, 0, NATION, 0.0))
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row")


def steady(now: float, before: float = 0.02, years: int = 5) -> dict[int, float]:
    return {**dict.fromkeys(range(2020 - years, 2020), before), 2020: now}


def test_a_jump_is_reported_with_the_previous_share() -> None:
    found = detect_jumps(summaries(steady(0.05)), 2020)
    assert found.schema == JUMP_SCHEMA
    assert found.to_dicts() == [
        {
            "state": "all",
            "measure": "flag",
            "name": "adt_impossible",
            "records": 30_000,
            "of": NATION,
            "share": 0.05,
            "before": 0.02,
            "years": 5,
        }
    ]


@pytest.mark.parametrize(
    ("measure", "name", "now", "jumped"),
    [
        ("flag", "adt_impossible", 0.029, False),
        ("flag", "adt_impossible", 0.031, True),
        ("flag", "any", 0.9, False),
        ("missing", "ADT_029", 0.031, True),
        ("missing", "REMARKS", 0.9, False),
        ("rejected", "field_count", 0.0215, True),
        ("rejected", "field_count", 0.0205, False),
        ("duplicate", "earlier_line", 0.9, False),
    ],
)
def test_each_measure_has_its_margin(measure: str, name: str, now: float, jumped: bool) -> None:
    assert detect_jumps(summaries(steady(now), measure, name), 2020).height == jumped


def test_one_state_has_a_wider_margin() -> None:
    assert detect_jumps(summaries(steady(0.1), state="36", of=STATE), 2020).is_empty()
    assert detect_jumps(summaries(steady(0.13), state="36", of=STATE), 2020)["state"].to_list() == ["36"]
    assert detect_jumps(summaries(steady(0.5, 0.0), "missing", "ADT_029", "36", STATE), 2020)["before"].to_list() == [
        0.0
    ]


def test_one_unusual_earlier_year_does_not_change_the_result() -> None:
    unusual = steady(0.05) | {2017: 0.9}
    assert detect_jumps(summaries(unusual), 2020)["before"].to_list() == [0.02]
    assert detect_jumps(summaries(steady(0.02) | {2017: 0.9}), 2020).is_empty()


def test_a_flag_that_no_record_had_before_counts_as_0() -> None:
    assert detect_jumps(summaries(steady(0.02, 0.0)), 2020)["before"].to_list() == [0.0]


def test_a_file_of_a_few_bridges_does_not_jump_by_chance() -> None:
    assert detect_jumps(summaries(steady(3 / 60, 0.01), of=60), 2020).is_empty()
    assert detect_jumps(summaries(steady(30 / 60, 0.01), of=60), 2020).height == 1


def test_too_few_years_are_not_compared() -> None:
    assert detect_jumps(summaries(steady(0.9, years=MIN_YEARS - 1)), 2020).is_empty()
    assert detect_jumps(summaries(steady(0.9, years=MIN_YEARS)), 2020).height == 1
    assert detect_jumps(summaries({2020: 0.9}), 2020).is_empty()


def test_years_whose_layout_lacks_the_item_do_not_count() -> None:
    new = steady(0.9, 0.0)
    assert detect_jumps(summaries(new, "missing", "ADT_029", had=range(2018, 2021)), 2020).is_empty()
    assert detect_jumps(summaries(new, "missing", "ADT_029", had=range(2017, 2021)), 2020)["years"].to_list() == [3]
    of_state = summaries(new, "missing", "ADT_029", "36", STATE, had=range(2018, 2021))
    assert detect_jumps(of_state, 2020).is_empty()


def test_later_years_are_ignored_and_a_decrease_is_not_a_jump() -> None:
    later = summaries(steady(0.02) | dict.fromkeys(range(2021, 2030), 0.9))
    assert detect_jumps(later, 2020).is_empty()
    assert detect_jumps(summaries(steady(0.0, 0.5)), 2020).is_empty()


def test_the_order_is_all_states_first_then_the_largest_jump() -> None:
    table = pl.concat(
        [
            summaries(steady(0.9), state="36", of=STATE),
            summaries(steady(0.1)),
            summaries(steady(0.3), name="no_condition").filter(pl.col("measure") != "rows"),
        ]
    ).unique(maintain_order=True)
    assert detect_jumps(table, 2020).select("state", "name").rows() == [
        ("all", "no_condition"),
        ("all", "adt_impossible"),
        ("36", "adt_impossible"),
    ]


@pytest.mark.parametrize(("of", "jumped"), [(1, False), (4, False), (25, True)])
def test_a_handful_of_records_does_not_jump(of: int, jumped: bool) -> None:
    table = summaries(steady(1.0, 0.0), state="36", of=of)
    assert detect_jumps(table, 2020)["state"].to_list() == ["36"] * jumped


def test_years_in_which_a_flag_was_not_checked_do_not_count_as_zero() -> None:
    """A file with inspection dates after five without them: the other flag shows that those years were checked."""
    other = summaries(steady(0.001, 0.001), name="length_missing")
    checked = summaries({2020: 0.05}, name="no_inspection_date").filter(pl.col("measure") == "flag")
    assert detect_jumps(pl.concat([other, checked]), 2020).is_empty()
    zero = summaries(dict.fromkeys(range(2015, 2020), 0.0), name="no_inspection_date")
    table = pl.concat([other, checked, zero.filter(pl.col("measure") == "flag")])
    assert detect_jumps(table, 2020)["name"].to_list() == ["no_inspection_date"]
