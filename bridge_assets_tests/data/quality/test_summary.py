"""The data quality of a survey year: every count is compared with the rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest
from support.nbi_files import nbi_line, write_nbi

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.lake import Lake
from bridge_assets.data.quality.headline import headline, top_flags
from bridge_assets.data.quality.measures import (
    ANY,
    DUPLICATE_RULES,
    MEASURES,
    OPTIONAL_ITEMS,
    REQUIRED_ITEMS,
    SUMMARY_SCHEMA,
)
from bridge_assets.data.quality.summary import quality_summary, write_quality_summary
from bridge_assets.data.records.structures import one_record_per_structure
from bridge_assets.errors import SourceError
from bridge_assets.nbi.coding_guide.items import ITEMS, ITEMS_BY_NAME
from bridge_assets.nbi.coding_guide.layouts import LAYOUTS, layout_of_year
from bridge_assets.nbi.delimited.records import REJECTION_REASONS
from bridge_assets.nbi.flags import flag_counts
from bridge_assets.nbi.sample import SampleSpec, write_sample


def ingested(lake: Lake, year: int, *files: Path) -> None:
    report = ingest(files, year, lake.year_path("raw_bridges", year), lake.year_path("rejected_records", year))
    lake.write_provenance("raw_bridges", year, asdict(report))


def counted(folder: Path, year: int, *files: Path) -> pl.DataFrame:
    lake = Lake(folder / "lake")
    ingested(lake, year, *files)
    return write_quality_summary(lake, year)


def records(summary: pl.DataFrame, measure: str, state: str = "all") -> dict[str, int]:
    rows = summary.filter(pl.col("measure") == measure, pl.col("state") == state)
    return dict(rows.select("name", "records").iter_rows())


def some(summary: pl.DataFrame, measure: str, state: str = "all") -> dict[str, int]:
    return {name: count for name, count in records(summary, measure, state).items() if count}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Six years of a small sample inventory, in three layouts, counted."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder / "nbi", folder / "oracle.parquet", SampleSpec(structures=600, first_year=2007, last_year=2012))
    lake = Lake(folder / "lake")
    for path in sorted((folder / "nbi").glob("*.txt")):
        ingested(lake, int(path.stem[-4:]), path)
        write_quality_summary(lake, int(path.stem[-4:]))
    return lake


def check_against_the_records(table: pl.DataFrame, summary: pl.DataFrame, layout: str) -> None:
    """Compare the counts with simple ones from a table in memory."""
    on_structure = table.filter("on_structure")
    items = next(each.canonical_columns for each in LAYOUTS if each.name == layout)
    missing = {item.name: on_structure[item.name].null_count() for item in ITEMS if item.name in items}
    assert records(summary, "missing") == missing
    flags = {name: count for name, count in some(summary, "flag").items() if name != ANY}
    assert flags == flag_counts(table["flags"])
    assert records(summary, "flag")[ANY] == table["flags"].count()
    assert records(summary, "unparsed")[ANY] == table["unparsed"].count()
    kept = one_record_per_structure(table.lazy()).collect().height
    assert sum(records(summary, "duplicate").values()) == on_structure.height - kept
    for (state,), part in table.group_by(pl.col("structure_key").str.head(2)):
        assert records(summary, "rows", str(state)) == {
            "loaded": part.height,
            "on_structure": int(part["on_structure"].sum()),
        }
        flags = {name: count for name, count in records(summary, "flag", str(state)).items() if name != ANY}
        assert flags == flag_counts(part["flags"])
        blank = part.filter("on_structure")
        assert some(summary, "missing", str(state)) == {
            name: count for name in missing if (count := blank[name].null_count())
        }


def test_every_count_of_the_sample_agrees_with_its_records(sample: Lake) -> None:
    for year in sample.available_years("data_quality"):
        summary = sample.read_year("data_quality", year)
        assert summary.schema == SUMMARY_SCHEMA
        check_against_the_records(sample.read_year("raw_bridges", year), summary, layout_of_year(year).name)


def test_rows_read_are_loaded_and_rejected_and_reasons_add_up(sample: Lake) -> None:
    for year in sample.available_years("data_quality"):
        summary = sample.read_year("data_quality", year)
        rows = records(summary, "rows")
        assert rows["read"] == rows["loaded"] + rows["rejected"]
        assert sum(records(summary, "rejected").values()) == rows["rejected"]
        assert records(summary, "rejected") == sample.provenance("raw_bridges", year)["rejected_by_reason"]


def test_states_add_up_to_all_and_shares_are_shares(sample: Lake) -> None:
    summary = sample.read_years("data_quality")
    key = ["survey_year", "measure", "name"]
    of_file = pl.col("name").is_in(["read", "rejected"]) | (pl.col("measure") == "rejected")
    everywhere = summary.filter(pl.col("state") == "all", ~of_file)
    sums = summary.filter(pl.col("state") != "all").group_by(key).agg(pl.col("records").sum().alias("sum"))
    joined = everywhere.join(sums, on=key, how="left")
    assert joined.filter(pl.col("records") != pl.col("sum").fill_null(0)).is_empty()
    assert summary["share"].is_between(0, 1).all()
    assert summary.filter((pl.col("records") / pl.col("of") - pl.col("share")).abs() > 1e-12).is_empty()
    assert set(summary["measure"]) <= MEASURES.keys()
    assert not summary.select("survey_year", "state", "measure", "name").is_duplicated().any()


def test_counting_again_gives_the_same_bytes_and_provenance(sample: Lake) -> None:
    before = sample.digest("data_quality", 2010)
    write_quality_summary(sample, 2010)
    assert sample.digest("data_quality", 2010) == before
    provenance = sample.provenance("data_quality", 2010)
    assert provenance["layouts"] == ["2010"]
    assert provenance["made_from"] == {name: sample.digest(name, 2010) for name in ("raw_bridges", "rejected_records")}


def test_the_headline_and_the_top_flags_cover_all_states(sample: Lake) -> None:
    summary = sample.read_year("data_quality", 2012)
    table = sample.read_year("raw_bridges", 2012)
    figures = headline(summary)
    assert (figures["loaded"], figures["flagged"]) == (table.height, table["flags"].count())
    assert figures["share_flagged"] == pytest.approx(table["flags"].count() / table.height)
    top = list(top_flags(summary, limit=3))
    assert [(row["name"], row["records"]) for row in top] == sorted(
        flag_counts(table["flags"]).items(), key=lambda each: (-each[1], each[0])
    )[:3]
    assert all(row["meaning"] for row in top)


def test_missing_items_are_counted_among_records_of_type_1(tmp_path: Path) -> None:
    rows = [{"STRUCTURE_NUMBER_008": "1", "ADT_029": ""}, {"STRUCTURE_NUMBER_008": "2"}]
    rows += [{"STRUCTURE_NUMBER_008": str(number), "RECORD_TYPE_005A": "2", "ADT_029": ""} for number in range(5)]
    summary = counted(tmp_path, 2009, write_nbi(tmp_path, 2009, rows))
    adt = summary.filter(pl.col("name") == "ADT_029", pl.col("state") == "all")
    assert adt.select("records", "of", "share").rows() == [(1, 2, 0.5)]
    assert "BRIDGE_CONDITION" not in records(summary, "missing")


def test_duplicates_are_counted_by_the_rule_that_applied(tmp_path: Path) -> None:
    rows = [
        {"STRUCTURE_NUMBER_008": "1", "DATE_OF_INSPECT_090": "415"},
        {"STRUCTURE_NUMBER_008": "0001", "DATE_OF_INSPECT_090": "416"},  # kept
        {"STRUCTURE_NUMBER_008": "1", "DATE_OF_INSPECT_090": "416"},
        {"STRUCTURE_NUMBER_008": "1", "DATE_OF_INSPECT_090": ""},
        {"STRUCTURE_NUMBER_008": "1", "DATE_OF_INSPECT_090": "417", "RECORD_TYPE_005A": "2"},  # a route under it
        {"STRUCTURE_NUMBER_008": "1", "STATE_CODE_001": "02"},  # another bridge
        {"STRUCTURE_NUMBER_008": "7"},
        {"STRUCTURE_NUMBER_008": "7"},
    ]
    summary = counted(tmp_path, 2018, write_nbi(tmp_path, 2018, rows))
    assert records(summary, "duplicate") == {"later_inspection": 2, "earlier_line": 2, "file_name": 0}
    assert records(summary, "padding_variant") == {"leading_zeros": 4}
    assert records(summary, "duplicate", "02") == {}
    assert {*records(summary, "duplicate"), *records(summary, "padding_variant")} == DUPLICATE_RULES.keys()


def test_the_same_line_in_two_files_is_counted_by_the_file_name_rule(tmp_path: Path) -> None:
    files = [write_nbi(tmp_path / name, 2018, [{}], f"{name}18.txt") for name in ("AL", "AK")]
    assert records(counted(tmp_path, 2018, *files), "duplicate")["file_name"] == 1


def test_missing_items_of_two_layouts_are_those_that_both_have(tmp_path: Path) -> None:
    files = [write_nbi(tmp_path / str(year), year, [{"STRUCTURE_NUMBER_008": str(year)}]) for year in (2016, 2019)]
    missing = records(counted(tmp_path, 2019, *files), "missing")
    assert "BRIDGE_CONDITION" in missing
    assert not {"LOWEST_RATING", "SUFFICIENCY_RATING", "STATUS"} & missing.keys()


def test_missing_items_of_other_formats_are_those_with_values(sample: Lake) -> None:
    paths = sample.year_path("raw_bridges", 2012), sample.year_path("rejected_records", 2012)
    provenance = sample.provenance("raw_bridges", 2012) | {"layouts": ["infobridge"]}
    missing = records(quality_summary(*paths, provenance, 2012), "missing")
    table = sample.read_year("raw_bridges", 2012)
    assert missing.keys() == {item.name for item in ITEMS if table[item.name].count()}


def test_text_that_imitates_other_items_does_not_add_names(tmp_path: Path) -> None:
    rows = [{"ADT_029": "<b>; nothing='1'; YEAR_BUILT_027='2"}, {"STRUCTURE_NUMBER_008": "2", "YEAR_BUILT_027": "old"}]
    summary = counted(tmp_path, 2018, write_nbi(tmp_path, 2018, rows))
    assert records(summary, "unparsed")[ANY] == 2
    assert records(summary, "unparsed").keys() - {ANY} <= ITEMS_BY_NAME.keys()
    assert records(summary, "unparsed")["ADT_029"] == 1


def test_a_year_without_rejected_rows_and_one_without_records(tmp_path: Path) -> None:
    clean = counted(tmp_path / "clean", 2018, write_nbi(tmp_path, 2018, [{}]))
    assert records(clean, "rejected") == {}
    assert records(clean, "rows") == {"read": 1, "loaded": 1, "rejected": 0, "on_structure": 1}
    path = tmp_path / "NBI_2019.txt"
    layout = layout_of_year(2019)
    path.write_text(",".join(layout.columns) + "\n" + nbi_line(layout, STATE_CODE_001="") + "\n")
    nothing = counted(tmp_path / "nothing", 2019, path)
    assert records(nothing, "rows") == {"read": 1, "loaded": 0, "rejected": 1, "on_structure": 0}
    assert records(nothing, "rejected") == {"no_key": 1}
    assert records(nothing, "missing").keys() == {item.name for item in ITEMS if item.name in layout.canonical_columns}
    assert nothing.filter(pl.col("of") == 0)["share"].null_count() == nothing.filter(pl.col("of") == 0).height
    assert headline(nothing)["share_flagged"] == 0.0


def test_records_without_flags_are_refused_with_the_remedy(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    ingested(lake, 2018, write_nbi(tmp_path, 2018, [{}]))
    lake.write(lake.read_year("raw_bridges", 2018).drop("flags"), "raw_bridges", 2018)
    with pytest.raises(SourceError, match=r"no column `flags`(.|\n)*ingest the survey files of 2018 again"):
        write_quality_summary(lake, 2018)


def test_items_that_must_have_a_value_are_items_of_the_guide() -> None:
    assert ITEMS_BY_NAME.keys() > OPTIONAL_ITEMS
    assert not OPTIONAL_ITEMS & set(REQUIRED_ITEMS)
    assert {"ADT_029", "DECK_COND_058", "DATE_OF_INSPECT_090"} <= set(REQUIRED_ITEMS)
    assert not {"REMARKS", "SUFFICIENCY_RATING"} & set(REQUIRED_ITEMS)


def test_every_count_of_real_files_agrees_with_their_records(real_data: Path, tmp_path: Path) -> None:
    files = [(2019, real_data / "nbi" / "AK19.txt")]
    files += [(int(path.stem[-4:]), path) for path in sorted((real_data / "nbi" / "panel").glob("*.txt"))[::4]]
    files += [(int(path.stem[-4:]), path) for path in sorted((real_data / "nbi" / "layouts").glob("*.txt"))]
    reasons: Counter[str] = Counter()
    for year, path in files:
        lake = Lake(tmp_path / path.stem)
        ingested(lake, year, path)
        summary = write_quality_summary(lake, year)
        [layout] = lake.provenance("raw_bridges", year)["layouts"]
        check_against_the_records(lake.read_year("raw_bridges", year), summary, layout)
        rows = records(summary, "rows")
        assert rows["read"] == rows["loaded"] + rows["rejected"]
        reasons.update(records(summary, "rejected"))
    assert reasons.keys() <= REJECTION_REASONS.keys()


def test_a_flag_that_no_file_can_have_has_no_count_and_one_that_some_can_has(tmp_path: Path) -> None:
    keys = "STATE_CODE_001,STRUCTURE_NUMBER_008,RECORD_TYPE_005A,DECK_COND_058"
    (tmp_path / "AK_2019.csv").write_text(f"{keys},STRUCTURE_LEN_MT_049\n02,1,1,6,\n02,2,1,6,12.5\n")
    (tmp_path / "AL_2019.csv").write_text(f"{keys}\n01,1,1,6\n")
    lake = Lake(tmp_path / "lake")
    ingested(lake, 2019, tmp_path / "AK_2019.csv", tmp_path / "AL_2019.csv")
    summary = write_quality_summary(lake, 2019)
    flags = records(summary, "flag")
    assert flags["length_missing"] == 1
    assert "no_inspection_date" not in flags
    assert {"no_inspection_date", "no_condition"} < set(lake.provenance("raw_bridges", 2019)["unchecked_flags"])
    assert set(records(summary, "missing")) == {*keys.split(",")}
