"""Writes small NBI files in the published text format, and reads whole files, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME, ItemKind
from bridge_assets.nbi.coding_guide.layouts import COLUMN_ALIASES, Layout, layout_of_year
from bridge_assets.nbi.delimited.records import BATCH_BYTES, Batch, count_rows, read_batches, read_header

BRIDGE_RECORD: dict[str, str] = {
    "STATE_CODE_001": "01",
    "STRUCTURE_NUMBER_008": "1234",
    "RECORD_TYPE_005A": "1",
    "FEATURES_DESC_006A": "BEAR CREEK",
    "FACILITY_CARRIED_007": "COUNTY ROAD 27",
    "LOCATION_009": "2 MI N OF TOWN",
    "LAT_016": "31555400",
    "LONG_017": "087413000",
    "OWNER_022": "02",
    "YEAR_BUILT_027": "1974",
    "TRAFFIC_LANES_ON_028A": "2",
    "ADT_029": "1200",
    "STRUCTURE_KIND_043A": "3",
    "STRUCTURE_TYPE_043B": "02",
    "MAIN_UNIT_SPANS_045": "3",
    "STRUCTURE_LEN_MT_049": "32.9",
    "DECK_WIDTH_MT_052": "7.9",
    "DECK_COND_058": "6",
    "SUPERSTRUCTURE_COND_059": "7",
    "SUBSTRUCTURE_COND_060": "6",
    "CULVERT_COND_062": "N",
    "DATE_OF_INSPECT_090": "409",
    "INSPECT_FREQ_MONTHS_091": "24",
    "PERCENT_ADT_TRUCK_109": "8",
}


def nbi_line(layout: Layout, **items: str) -> str:
    """A row in a layout: `BRIDGE_RECORD`, with items replaced. Text items are quoted and padded as in the published
    files.
    """
    values = {**BRIDGE_RECORD, **items}
    cells = []
    for column in layout.columns:
        value = values.get(COLUMN_ALIASES.get(column, column), "")
        cells.append(
            f"'{value:<18}'"
            if ITEMS_BY_NAME[COLUMN_ALIASES.get(column, column)].kind is ItemKind.TEXT and value
            else value
        )
    return ",".join(cells)


def nbi_text(survey_year: int, rows: Sequence[Mapping[str, str]], newline: str = "\r\n") -> str:
    """A whole file in the layout of its survey year."""
    layout = layout_of_year(survey_year)
    return newline.join([",".join(layout.columns), *(nbi_line(layout, **row) for row in rows)]) + newline


def write_nbi(folder: Path, survey_year: int, rows: Sequence[Mapping[str, str]], name: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"NBI_{survey_year}.txt")
    path.write_text(nbi_text(survey_year, rows), encoding="latin-1", newline="")
    return path


def read_nbi(path: Path, batch_bytes: int = BATCH_BYTES) -> Batch:
    """A delimited file as one batch."""
    with path.open("rb") as file:
        batches = list(read_batches(file, path.name, where=path, batch_bytes=batch_bytes))
    return Batch(
        pa.concat_tables([batch.table for batch in batches]).unify_dictionaries(),
        pl.concat(batch.rejected for batch in batches),
        sum(batch.rows_read for batch in batches),
        batches[0].layout,
    )


def row_count(path: Path) -> int:
    with path.open("rb") as file:
        return count_rows(file)


def layout_of(path: Path) -> Layout:
    with path.open("rb") as file:
        return read_header(file, path)
