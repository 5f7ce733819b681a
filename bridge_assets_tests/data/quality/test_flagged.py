"""Every flagged record is listed with the values that its flags are about, in a file for each survey year."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import polars as pl
from support.nbi_files import write_nbi

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.lake import Lake
from bridge_assets.data.quality.flagged import FLAGGED_SCHEMA, flagged_records, write_flagged_files
from bridge_assets.data.quality.summary import write_quality_summary
from bridge_assets.nbi.flags import flag_counts

FORMULA = '=HYPERLINK("http://example.org","x")'


def counted(lake: Lake, year: int, *files: Path) -> None:
    report = ingest(files, year, lake.year_path("raw_bridges", year), lake.year_path("rejected_records", year))
    lake.write_provenance("raw_bridges", year, asdict(report))
    write_quality_summary(lake, year)


def test_each_flag_of_a_record_has_a_row_with_its_items(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = [
        {"DATE_OF_INSPECT_090": "1318", "STRUCTURE_NUMBER_008": "A 1"},
        {},
        {"STRUCTURE_LEN_MT_049": "", "ADT_029": "500001", "STATE_CODE_001": "1"},
        {"CULVERT_COND_062": "n", "OWNER_022": "99", "DATE_OF_INSPECT_090": "", "STRUCTURE_NUMBER_008": "00007"},
    ]
    counted(lake, 2010, write_nbi(tmp_path, 2010, rows))
    table = flagged_records(lake.year_path("raw_bridges", 2010))
    assert table.schema == FLAGGED_SCHEMA
    assert table.rows() == [
        ("01", "A 1", 2, "inspection_date_impossible", "DATE_OF_INSPECT_090=1318"),
        ("01", "1234", 4, "adt_impossible", "ADT_029=500001; TRAFFIC_LANES_ON_028A=2"),
        ("01", "1234", 4, "length_missing", "STRUCTURE_LEN_MT_049="),
        ("01", "00007", 5, "no_inspection_date", "DATE_OF_INSPECT_090="),
        ("01", "00007", 5, "lowercase_code", "CULVERT_COND_062=n"),
        ("01", "00007", 5, "unknown_code:OWNER_022", "OWNER_022=99"),
    ]


def test_the_lists_of_real_files_have_as_many_rows_as_flags_are_counted(tmp_path: Path, real_data: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for year in (1997, 2010, 2022):
        counted(lake, year, real_data / "nbi" / "panel" / f"NBI_{year}.txt")
    counted(lake, 2019, real_data / "nbi" / "AK19.txt")
    stale = tmp_path / "reports" / "flagged_2001.csv"
    stale.parent.mkdir()
    stale.write_text("of a year that was dropped")
    rows = write_flagged_files(lake, tmp_path / "reports")
    assert {path.name for path in stale.parent.iterdir()} == {
        f"flagged_{year}.csv" for year in (1997, 2010, 2019, 2022)
    }
    for year, count in rows.items():
        flags = lake.read_year("raw_bridges", year)["flags"].cast(pl.String)
        table = pl.read_csv(stale.with_name(f"flagged_{year}.csv"), infer_schema=False)
        assert table.columns == list(FLAGGED_SCHEMA)
        assert dict(table["flag"].value_counts().iter_rows()) == flag_counts(flags)
        assert table.height == count == sum(flag_counts(flags).values())
    assert rows[2019] == 25


def test_text_is_written_as_published(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    (tmp_path / "NBI_2019.csv").write_text("")
    with (tmp_path / "NBI_2019.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["STATE_CODE_001", "STRUCTURE_NUMBER_008", "OWNER_022"])
        writer.writerow(["02", FORMULA, "@SUM(1)"])
    counted(lake, 2019, tmp_path / "NBI_2019.csv")
    write_flagged_files(lake, tmp_path)
    with (tmp_path / "flagged_2019.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == [["02", FORMULA, "2", "unknown_code:OWNER_022", "OWNER_022=@SUM(1)"]]
