"""A lake with flagged and rejected records, and its data quality page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from support.nbi_files import nbi_line, write_nbi

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.lake import Lake
from bridge_assets.data.quality.summary import write_quality_summary
from bridge_assets.nbi.coding_guide.layouts import layout_of_year
from bridge_assets.reporting.quality.page import QualityReport, render_quality_page

EVIL = "<script>alert('x')</script><img src=http://example.org>"


def counted(lake: Lake, year: int, *files: Path) -> None:
    report = ingest(files, year, lake.year_path("raw_bridges", year), lake.year_path("rejected_records", year))
    lake.write_provenance("raw_bridges", year, asdict(report))
    write_quality_summary(lake, year)


def rows(year: int, state: str, bridges: int, without_traffic: int = 0, planned: int = 0) -> list[dict[str, str]]:
    return [
        {
            "STATE_CODE_001": state,
            "STRUCTURE_NUMBER_008": str(number),
            "ADT_029": "" if number <= without_traffic else "1200",
            "YEAR_BUILT_027": str(year + 1) if number <= planned else "1974",
            "DATE_OF_INSPECT_090": f"6{year % 100:02}",
        }
        for number in range(1, bridges + 1)
    ]


def hostile(path: Path, year: int) -> Path:
    """Add a rejected row with text that a browser would execute if it were not escaped, and a very long one."""
    layout = layout_of_year(year)
    line = nbi_line(layout, FACILITY_CARRIED_007=EVIL, LOCATION_009="{{ 7 * 6 }}, </code> \u202egnirts")
    long_line = nbi_line(layout, FEATURES_DESC_006A="BEAR " * 2000) + ",1"
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(f"{line}\r\n{long_line}\r\n")
    return path


def lake_with_flags(folder: Path) -> Lake:
    """Five years of two states; in the last year, 40 % of Alaska's ADT is missing and two rows are rejected."""
    lake = Lake(folder / "lake")
    for year in range(2014, 2019):
        last = year == 2018
        bridges = rows(year, "01", 400, planned=4) + rows(year, "02", 150, without_traffic=60 if last else 0)
        path = write_nbi(folder, year, bridges, f"<b>{year}.txt")
        counted(lake, year, hostile(path, year) if last else path)
    return lake


def rendered(lake: Lake, *years: int) -> str:
    selected = list(years) or lake.available_years("data_quality")
    return render_quality_page(
        QualityReport(
            lake.read_years("data_quality", selected),
            lake.read_years("rejected_records", selected),
            {"Source": f"{EVIL} files"},
        )
    )
