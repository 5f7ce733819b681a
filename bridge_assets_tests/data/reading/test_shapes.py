"""Tables that people saved with other separators, in UTF-16 or without a header row: read exactly, or refused by name.

The cells are those of Alaska's published file of 2019 (1,595 records, 123 columns).
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from functools import cache
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from bridge_assets.data.reading.formats import count_rows, read_survey_file
from bridge_assets.data.records.bridges import decode_bridges, to_polars
from bridge_assets.data.sources.survey_files import survey_files
from bridge_assets.errors import LayoutError, SourceError

KEYS = "STATE_CODE_001,STRUCTURE_NUMBER_008,RECORD_TYPE_005A,LOCATION_009,ADT_029,STRUCTURE_LEN_MT_049"


@pytest.fixture
def published(real_data: Path) -> Path:
    return real_data / "nbi" / "AK19.txt"


@cache
def cells(path: Path) -> list[list[str]]:
    """The header and the fields of every row without their quotes and padding."""
    lines = path.read_bytes().decode("latin-1").splitlines()
    return [[stripped(field) for field in line.split(",")] for line in lines]


def stripped(field: str) -> str:
    field = field.strip()
    return field[1:-1].strip() if len(field) > 1 and field[0] == field[-1] == "'" else field


def written(rows: list[list[str]], separator: str, quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=separator, quoting=quoting).writerows(rows)
    return file.getvalue()


def table(path: Path) -> tuple[pl.DataFrame, str]:
    batches = list(read_survey_file(path))
    assert not any(each.batch.rejected.height for each in batches)
    records = pl.concat(to_polars(decode_bridges(each.batch, each.file, each.survey_year)) for each in batches)
    return records.drop("file"), batches[0].batch.layout


@pytest.mark.parametrize(
    ("separator", "quoting", "encoding", "layout"),
    [
        (";", csv.QUOTE_MINIMAL, "utf-8", "canonical CSV, semicolons"),
        (";", csv.QUOTE_ALL, "latin-1", "canonical CSV, semicolons"),
        ("\t", csv.QUOTE_MINIMAL, "utf-8-sig", "canonical CSV, tabs"),
        ("\t", csv.QUOTE_MINIMAL, "utf-16", "canonical CSV, tabs, UTF-16"),  # Unicode Text of Excel
        ("|", csv.QUOTE_MINIMAL, "utf-8", "canonical CSV, vertical bars"),
        (",", csv.QUOTE_ALL, "utf-16-be", "canonical CSV, UTF-16"),
        (",", csv.QUOTE_MINIMAL, "utf-16-le", "2019"),
        (",", csv.QUOTE_ALL, "utf-8", "canonical CSV"),
    ],
)
def test_a_published_file_saved_in_another_shape_has_the_same_cells(
    tmp_path: Path, published: Path, separator: str, quoting: Literal[0, 1], encoding: str, layout: str
) -> None:
    path = tmp_path / "AK_2019.txt"
    path.write_bytes(written(cells(published), separator, quoting).encode(encoding))
    found, name = table(path)
    assert (name, count_rows(path, 2019)) == (layout, found.height)
    assert found.equals(table(published)[0])


def test_a_double_quote_far_from_the_start_is_csv_too(tmp_path: Path, published: Path) -> None:
    """Excel quotes a text only where it needs to; without this, the quotes would stay in the text."""
    rows = [list(row) for row in cells(published)]
    location = rows[0].index("LOCATION_009")
    rows[-1][location] = 'AT "OLD" MILL, LEFT'
    path = tmp_path / "AK_2019.csv"
    path.write_text(written(rows, ","))
    assert path.read_text().index('"') > 1 << 16
    found, name = table(path)
    assert (name, found["LOCATION_009"][-1]) == ("canonical CSV", 'AT "OLD" MILL, LEFT')
    assert found.drop("LOCATION_009").equals(table(published)[0].drop("LOCATION_009"))


@pytest.mark.parametrize("pack", ["gzip", "zip"])
def test_another_shape_is_read_from_an_archive_too(tmp_path: Path, published: Path, pack: str) -> None:
    data = written(cells(published)[:200], "\t").encode("utf-16")
    path = tmp_path / "AK_2019.gz"
    if pack == "gzip":
        path.write_bytes(gzip.compress(data))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("Unicode.txt", data)
            archive.writestr("readme.txt", "none")
    assert table(path)[0].drop("line_number").equals(table(published)[0].drop("line_number")[:199])


def test_a_file_of_semicolons_in_single_quotes_loses_them(tmp_path: Path) -> None:
    path = tmp_path / "NBI_2019.csv"
    row = "01;'  7  ';1;'{}';10;20.5"
    path.write_text("\n".join([KEYS.replace(",", ";"), *(row.format(text) for text in ("O'NEAL ROAD ", "DUKES'", ""))]))
    assert table(path)[0].select("STRUCTURE_NUMBER_008", "LOCATION_009").rows() == [
        ("7", "O'NEAL ROAD"),
        ("7", "DUKES'"),
        ("7", None),
    ]
    path.write_text(path.read_text() + "\n01;'8';1;'BEAR; CREEK';20.5")
    [batch] = [each.batch for each in read_survey_file(path)]
    assert (batch.rows_read, batch.table.num_rows) == (4, 3)
    assert batch.rejected["reason"].to_list() == ["one_sided_quote"]
    assert batch.rejected["detail"].to_list() == ["LOCATION_009 begins or ends with a quote but not both"]


def test_a_table_with_survey_years_in_another_shape_is_found_under_its_years(tmp_path: Path) -> None:
    (tmp_path / "bridges.csv").write_bytes(
        "STATE_CODE_001\tSTRUCTURE_NUMBER_008\tsurvey_year\n01\t7\t2018\n01\t7\t2019\n".encode("utf-16")
    )
    assert survey_files(tmp_path) == {year: [tmp_path / "bridges.csv"] for year in (2018, 2019)}


SNBI_TABLE = "BL01,BID01,BC01\n2,77,6\n"


@pytest.mark.parametrize(
    ("text", "what", "do"),
    [
        (f"sep=;\n{KEYS}\n", "the header row is not the first line", "delete this line"),
        (f"{KEYS}\r01,7,1,HERE,10,20.5\r", "the lines end in carriage returns only", "CSV UTF-8"),
        (SNBI_TABLE, "this is an SNBI file", "1992 to 2025"),
        (SNBI_TABLE.replace(",", ";").replace("BL01", "B.L.01").replace("BID01", "B.ID.01"), "SNBI", "1992 to 2025"),
        ("01,'  7 ',1,'HERE',10,20.5\n", "the file has no header row", "column names"),
        ("1\t7\t1\tHERE\t10\t20.5\n", "record of 6 fields separated by tabs: 1, 7", "column names"),
        (f"{KEYS}\n01,'7',1,'HERE',10,20.5\n", "texts are in single quotes.*but the header row", "in double quotes"),
        (f"{KEYS}\n01,7,1,HERE,10,20.5\n".replace(",", ";").replace(".", ","), "STRUCTURE_LEN_MT_049 is '20,5'", "dec"),
        (f"{KEYS}\n01,7,1,HERE,1@234,20.5\n".replace(",", "\t").replace("@", ","), "ADT_029 is '1,234' in line 2", "c"),
    ],
)
def test_a_shape_that_is_not_read_is_named_with_what_to_do(tmp_path: Path, text: str, what: str, do: str) -> None:
    path = tmp_path / "NBI_2019.csv"
    for content in (text.encode(), text.encode("utf-16"), gzip.compress(text.encode())):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=f"{what}.*What to do: .*{do}"):
            list(read_survey_file(path))


def test_the_names_of_a_published_file_are_offered_where_the_width_is_theirs(tmp_path: Path, published: Path) -> None:
    path = tmp_path / "AK_2019.csv"
    path.write_bytes(published.read_bytes().partition(b"\n")[2])
    with pytest.raises(SourceError, match=r"no header row.*the published files of 2019 to 2025 have 123 columns"):
        list(read_survey_file(path))


@pytest.mark.parametrize("name", ["NBI_2026.txt", "NBI_2026.json"])
def test_the_json_of_snbi_is_named(tmp_path: Path, real_data: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((real_data / "snbi" / "made_up_bridge.json").read_bytes())
    with pytest.raises(SourceError, match=r"an SNBI file.*What to do: use FHWA's delimited file"):
        list(read_survey_file(path))


def test_other_json_is_not_called_snbi(tmp_path: Path) -> None:
    (tmp_path / "NBI_2026.txt").write_text('[{"a": 1}]')
    with pytest.raises(SourceError, match="this is JSON"):
        list(read_survey_file(tmp_path / "NBI_2026.txt"))


def test_geojson_is_named(tmp_path: Path) -> None:
    (tmp_path / "NBI_2019.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(SourceError, match=r"this is GeoJSON.*What to do: export it as CSV"):
        list(read_survey_file(tmp_path / "NBI_2019.geojson"))


@pytest.mark.parametrize("between", [" ", "."])
def test_item_names_may_have_blanks_or_points_for_their_underscores(tmp_path: Path, between: str) -> None:
    path = tmp_path / "NBI_2019.csv"
    header = "STATE_CODE_001,STRUCTURE_NUMBER_008,RECORD_TYPE_005A,DECK_COND_058".title().replace("_", between)
    path.write_text(f"{header}\n01,7,1,6\n")
    [year] = read_survey_file(path)
    assert year.batch.records.select("STRUCTURE_NUMBER_008", "DECK_COND_058").rows() == [("7", "6")]


@pytest.mark.parametrize("damage", [b"\x00", b"\x00\xd8\x20\x00"], ids=["half a character", "half a pair"])
def test_damaged_utf_16_is_refused_and_no_character_is_replaced(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "NBI_2019.csv"
    path.write_bytes(f"{KEYS}\n01,7,1,HERE,10,20.5\n".encode("utf-16") + damage)
    with pytest.raises(SourceError, match=r"the file is damaged.*UTF-16"):
        list(read_survey_file(path))


def test_a_single_quoted_table_of_other_columns_is_a_layout_error(tmp_path: Path, published: Path) -> None:
    path = tmp_path / "AK_2019.csv"
    lines = published.read_bytes().decode("latin-1").splitlines()
    path.write_text("\n".join(",".join(line.split(",")[:40]) for line in lines))
    with pytest.raises(LayoutError, match=r"single quotes.*40 columns.*missing"):
        list(read_survey_file(path))
