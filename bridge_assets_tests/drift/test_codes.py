"""Coded items: their shares against the reference years, and states that recoded an item."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.drift.codes import code_text, coded_records, compare_item, compared_items, count_codes
from bridge_assets.drift.periods import Periods
from bridge_assets.drift.recoding import CHANGED, MOVED, recoded_items, recoding_rows
from bridge_assets.settings import DriftSettings

SETTINGS = DriftSettings()
ITEM = "SCOUR_CRITICAL_113"


def bridges(codes: Sequence[str | None], state: str = "25", year: int = 2015, inspected: bool = False) -> pl.DataFrame:
    """Bridges of one state; inspected in the given year, or all in 2014."""
    return pl.DataFrame(
        {
            "structure_key": [f"{state}-{number}" for number in range(len(codes))],
            "state": [state] * len(codes),
            "inspection_date": [date(year if inspected else 2014, 6, 1)] * len(codes),
            ITEM: pl.Series(codes, dtype=pl.String),
        }
    )


def rows_by_measure(previous: pl.DataFrame, current: pl.DataFrame, settings: DriftSettings = SETTINGS) -> dict:
    rows = recoding_rows(previous, current, 2015, [ITEM], settings)
    return {(row["state"], row["measure"]): row for row in rows}


@pytest.mark.parametrize(
    ("written", "code"),
    [("01", "1"), (" 1", "1"), ("000", "0"), ("n", "N"), ("", "blank"), ("  ", "blank"), (None, "blank"), ("U", "U")],
)
def test_a_code_has_one_form(written: str | None, code: str) -> None:
    assert code_text(written) == code


def test_items_with_a_list_of_codes_are_compared_and_computed_or_identifying_ones_are_not() -> None:
    items = compared_items()
    assert {"OWNER_022", "STRUCTURE_KIND_043A", "DECK_COND_058", ITEM} <= set(items) and len(items) > 45
    assert not {"STATE_CODE_001", "RECORD_TYPE_005A", "SUBMITTED_BY", "BRIDGE_CONDITION", "COUNTY_CODE_003"} & set(
        items
    )


class TestShares:
    def report(self, **years: Sequence[str | None]) -> dict:
        by_year = {int(year[1:]): count_codes(bridges(codes), ITEM) for year, codes in years.items()}
        rows = compare_item(ITEM, by_year, [2015], Periods((2010, 2011), SETTINGS))
        return {row["state"]: row for row in rows}

    def test_the_total_variation_is_the_share_of_bridges_with_another_code(self) -> None:
        before, after = ["8"] * 700 + ["5"] * 300, ["8"] * 400 + ["5"] * 300 + ["U"] * 300
        row = self.report(y2010=before, y2011=before, y2015=after)["all"]
        assert row["value"] == pytest.approx(0.3) and row["drifted"]
        assert (row["kind"], row["measure"], row["reference_rows"], row["year_rows"]) == (
            "code",
            "total_variation",
            2000,
            1000,
        )

    def test_the_same_codes_written_otherwise_are_the_same(self) -> None:
        row = self.report(y2010=["08"] * 500, y2011=["8"] * 500, y2015=[" 8"] * 500)["all"]
        assert (row["value"], row["drifted"]) == (0.0, False)

    def test_a_year_whose_layout_lacks_the_item_gives_no_row(self) -> None:
        assert self.report(y2010=["8"] * 500, y2011=["8"] * 500, y2015=[None] * 500) == {}

    def test_reference_years_that_differ_raise_the_threshold(self) -> None:
        row = self.report(y2010=["8"] * 500, y2011=["8"] * 350 + ["5"] * 150, y2015=["8"] * 300 + ["5"] * 200)["all"]
        assert row["threshold"] > 1.5 * 0.3 and not row["drifted"]


class TestRecoding:
    before = ["8"] * 300 + ["5"] * 100

    def test_codes_that_move_on_bridges_nobody_inspected_are_named_with_the_state(self) -> None:
        after = ["8"] * 150 + ["U"] * 150 + ["5"] * 100
        found = rows_by_measure(bridges(self.before), bridges(after))
        moved = found["25", MOVED]
        assert moved["value"] == pytest.approx(150 / 400) and moved["drifted"]
        assert moved["cause"] == "recoded: 8 to U (150 bridges)"
        assert not found["25", CHANGED]["drifted"]
        assert recoded_items(list(found.values())) == {ITEM: ["25"]}

    def test_deterioration_found_by_inspections_is_no_recoding(self) -> None:
        after = ["8"] * 150 + ["U"] * 150 + ["5"] * 100
        found = rows_by_measure(bridges(self.before), bridges(after, inspected=True))
        assert not any(row["drifted"] for row in found.values())
        assert ("25", MOVED) not in found  # there is no bridge without a new inspection to look at

    def test_nearly_all_bridges_at_once_are_a_recoding_even_if_all_were_inspected(self) -> None:
        after = ["C01"] * 300 + ["B02"] * 100
        found = rows_by_measure(bridges(self.before), bridges(after, inspected=True))
        assert found["25", CHANGED]["value"] == 1 and found["25", CHANGED]["drifted"]
        assert found["25", CHANGED]["cause"] == "recoded: 8 to C01 (300 bridges), 5 to B02 (100)"

    def test_changes_to_and_fro_cancel_out(self) -> None:
        after = ["5"] * 100 + ["8"] * 300  # as many of each code as before
        assert rows_by_measure(bridges(self.before), bridges(after))["25", MOVED]["value"] == 0

    def test_an_unknown_inspection_date_is_no_proof(self) -> None:
        after = bridges(["U"] * 200 + ["8"] * 200).with_columns(pl.lit(None, pl.Date).alias("inspection_date"))
        assert ("25", MOVED) not in rows_by_measure(bridges(self.before), after)

    def test_new_and_removed_bridges_do_not_count(self) -> None:
        after = bridges(self.before + ["U"] * 400)
        assert rows_by_measure(bridges(self.before), after) == {}

    def test_a_few_bridges_are_not_looked_at(self) -> None:
        previous, current = bridges(["8"] * 99), bridges(["U"] * 99)
        assert rows_by_measure(previous, current) == {}
        assert recoded_items(list(rows_by_measure(bridges(["8"] * 100), bridges(["U"] * 100)).values()))

    def test_a_year_without_the_item_is_a_matter_of_the_layout(self) -> None:
        assert rows_by_measure(bridges(self.before), bridges([None] * 400)) == {}

    def test_each_state_is_judged_by_itself(self) -> None:
        previous = pl.concat([bridges(self.before), bridges(self.before, "36")])
        current = pl.concat([bridges(self.before), bridges(["8"] * 100 + ["U"] * 300, "36")])
        rows = recoding_rows(previous, current, 2015, [ITEM], SETTINGS)
        assert recoded_items(rows) == {ITEM: ["36"]} and {row["state"] for row in rows} == {"36"}


@pytest.fixture(scope="module")
def alaska(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The real records of Alaska, 2019."""
    folder = tmp_path_factory.mktemp("alaska")
    ingest([real_data / "nbi" / "AK19.txt"], 2019, folder / "2019.parquet", folder / "rejected.parquet")
    return coded_records(pl.scan_parquet(folder / "2019.parquet"))


def test_real_records_in_the_codes_of_the_snbi_are_a_recoding_of_each_mapped_item(
    alaska: pl.DataFrame, real_data: Path
) -> None:
    """Material 43A and wearing surface 108A in the codes of the published crosswalk, every bridge as it was."""
    maps: dict[str, dict[str, str]] = {"43A": {}, "108A": {}}
    with (real_data / "snbi" / "crosswalk.csv").open() as file:
        for row in csv.DictReader(file):
            tag = {"43A": "BSP04", "108A": "BSP10"}.get(row["old_item"])
            if row["new_tag"] == tag and row["direction"] in ("forward", "both") and "?" not in row["old_code"]:
                maps[row["old_item"]][row["old_code"]] = row["new_code"]
    columns = {"43A": "STRUCTURE_KIND_043A", "108A": "SURFACE_TYPE_108A"}
    recoded = alaska.with_columns(
        pl.col(column).cast(pl.String).replace(maps[item]).alias(column) for item, column in columns.items()
    )
    rows = recoding_rows(alaska, recoded, 2026, compared_items(), SETTINGS)
    assert recoded_items(rows) == {"STRUCTURE_KIND_043A": ["02"], "SURFACE_TYPE_108A": ["02"]}
    [material] = [row for row in rows if row["feature"] == "STRUCTURE_KIND_043A" and row["measure"] == CHANGED]
    assert material["value"] > 0.99 and "S-T" in material["cause"]


def test_real_bridges_of_a_panel_are_not_taken_for_recoded(real_data: Path, tmp_path: Path) -> None:
    """Virginia, 2018 to 2022: ratings change, and carried forward ones now and then, but no item as a whole."""
    tables = {}
    for year in range(2018, 2023):
        ingest(
            [real_data / "nbi" / "panel" / f"NBI_{year}.txt"], year, tmp_path / "new.parquet", tmp_path / "r.parquet"
        )
        tables[year] = coded_records(pl.scan_parquet(tmp_path / "new.parquet"))
    rows = []
    for year in range(2019, 2023):
        rows += recoding_rows(tables[year - 1], tables[year], year, compared_items(), DriftSettings(state_rows=20))
    assert {row["state"] for row in rows} >= {"51"}  # there are changes
    assert recoded_items(rows) == {}
