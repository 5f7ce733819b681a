"""No row of a file is lost: each becomes a record or a rejected record, with its text unchanged."""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.nbi_files import nbi_line, nbi_text, read_nbi, row_count, write_nbi

from bridge_assets.errors import LayoutError, SourceError
from bridge_assets.nbi.coding_guide.layouts import layout_of_year
from bridge_assets.nbi.delimited.records import (
    HIGH_CARDINALITY_CODES,
    RECORD_SCHEMA,
    REJECTED_SCHEMA,
    REJECTION_REASONS,
    Batch,
    count_rows,
    read_batches,
)
from bridge_assets.nbi.derived import derived_columns

REAL_FILES = [
    ("AK19.txt", 2019), ("layouts/nbi_1992.txt", 1992), ("layouts/nbi_2010.txt", 2010), ("layouts/nbi_2012.txt", 2012),
    ("layouts/nbi_2016.txt", 2016), ("layouts/nbi_2017.txt", 2017),
    *((f"panel/NBI_{year}.txt", year) for year in (1997, *range(1999, 2023))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "year"), REAL_FILES)
def test_real_files_reconcile_and_classes_agree_with_the_published_ones(real_data, name: str, year: int) -> None:
    path = real_data / "nbi" / name
    batch = read_nbi(path)
    lines = sum(1 for line in path.read_bytes().split(b"\n")[1:] if line.strip())
    assert batch.rows_read == lines == row_count(path) == batch.records.height + batch.rejected.height
    assert batch.records.schema == RECORD_SCHEMA
    assert batch.rejected.schema == REJECTED_SCHEMA

    classes = batch.records.with_columns(derived_columns(year)).filter(
        pl.col("BRIDGE_CONDITION").is_in(["G", "F", "P"])
    )
    assert (classes["condition_class"].str.slice(0, 1) == classes["BRIDGE_CONDITION"]).all()
    if year >= 2016:
        assert classes.height == batch.records.height


def test_real_apostrophes_are_preserved(real_data) -> None:
    in_1992 = read_nbi(real_data / "nbi/layouts/nbi_1992.txt").records
    assert "O'NEAL ROAD" in in_1992["FACILITY_CARRIED_007"].to_list()
    assert "LITTLE BASSETT'S   CREEK" in in_1992["FEATURES_DESC_006A"].to_list()
    raw = re.findall(r"'([^,]*'[^,]*)'", (real_data / "nbi/layouts/nbi_2010.txt").read_text("latin-1"))
    texts = read_nbi(real_data / "nbi/layouts/nbi_2010.txt").records.select(
        "FEATURES_DESC_006A", "FACILITY_CARRIED_007", "LOCATION_009"
    )
    assert raw
    assert {text.strip() for text in raw} <= {text for column in texts for text in column}


def test_an_apostrophe_at_the_end_does_not_swallow_the_next_row(tmp_path: Path) -> None:
    path = write_nbi(tmp_path, 2010, [{"FACILITY_CARRIED_007": "THE FARMERS'"}, {"STRUCTURE_NUMBER_008": "2"}])
    path.write_text(path.read_text().replace("'THE FARMERS'      '", "'THE FARMERS''"))
    batch = read_nbi(path)
    assert batch.records["FACILITY_CARRIED_007"].to_list() == ["THE FARMERS'", "COUNTY ROAD 27"]
    assert batch.rejected.is_empty()


def test_codes_stay_text_and_numbers_become_numbers(tmp_path: Path) -> None:
    row = read_nbi(
        write_nbi(
            tmp_path, 2019, [{"DESIGN_LOAD_031": "A", "OWNER_022": "01", "DECK_COND_058": "N", "STATE_CODE_001": "09"}]
        )
    )
    record = row.records.row(0, named=True)
    assert (record["DESIGN_LOAD_031"], record["OWNER_022"], record["DECK_COND_058"]) == ("A", "01", "N")
    assert (record["ADT_029"], record["STRUCTURE_LEN_MT_049"]) == (1200, 32.9)


def test_an_unparseable_number_keeps_its_text(tmp_path: Path) -> None:
    record = read_nbi(write_nbi(tmp_path, 2019, [{"ADT_029": "12x", "DECK_WIDTH_MT_052": "1e400"}])).records.row(
        0, named=True
    )
    assert record["ADT_029"] is None
    assert record["unparsed"] == "ADT_029='12x'; DECK_WIDTH_MT_052='1e400'"


def test_columns_renamed_by_fhwa_are_one_series(tmp_path: Path) -> None:
    for year in (2017, 2019):
        record = read_nbi(write_nbi(tmp_path, year, [{"BRIDGE_CONDITION": "F", "DECK_AREA": "260.5"}])).records.row(
            0, named=True
        )
        assert (record["BRIDGE_CONDITION"], record["DECK_AREA"]) == ("F", 260.5)


def test_rows_that_do_not_fit_are_kept_with_line_reason_and_text(tmp_path: Path) -> None:
    layout = layout_of_year(2019)
    good, comma = nbi_line(layout), nbi_line(layout, OTHR_STATE_STRUC_NO_099="1sDPG, 2sDIB")
    lines = [good, comma, good[:100], nbi_line(layout, STRUCTURE_NUMBER_008="   "), good.replace("BEAR", "BE\0R"), good]
    path = tmp_path / "NBI_2019.txt"
    path.write_text("\n".join([",".join(layout.columns), *lines]), newline="")
    batch = read_nbi(path)
    assert batch.rows_read == 6
    assert batch.records["line_number"].to_list() == [2, 7]
    assert batch.rejected["line_number"].to_list() == [3, 4, 5, 6]
    assert batch.rejected["reason"].to_list() == ["field_count", "field_count", "no_key", "unreadable"]
    assert batch.rejected["detail"][0] == "123 fields expected, 124 found"
    assert batch.rejected["line"][0] == comma


def test_blank_lines_and_the_dos_end_of_file_are_not_rows(tmp_path: Path) -> None:
    path = write_nbi(tmp_path, 2019, [{}])
    path.write_bytes(path.read_bytes() + b"\r\n   \r\n\x1a")
    assert read_nbi(path).rows_read == 1 == row_count(path)


def test_line_ends_and_a_missing_last_newline_do_not_matter(tmp_path: Path) -> None:
    rows = [{"STRUCTURE_NUMBER_008": str(number)} for number in range(5)]
    tables = []
    for name, text in (
        ("lf", nbi_text(2016, rows, "\n")),
        ("crlf", nbi_text(2016, rows)),
        ("cut", nbi_text(2016, rows).rstrip()),
    ):
        path = tmp_path / f"{name}_2016.txt"
        path.write_bytes(text.encode())
        tables.append(read_nbi(path).records)
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_latin_1_and_utf_8_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "NBI_2010.txt"
    text = nbi_text(2010, [{"FACILITY_CARRIED_007": "CAÑON RD"}])
    for encoded in (text.encode("latin-1"), text.encode(), b"\xef\xbb\xbf" + text.encode()):
        path.write_bytes(encoded)
        assert read_nbi(path).records["FACILITY_CARRIED_007"].to_list() == ["CAÑON RD"]


def test_batches_of_any_size_give_the_same_records(tmp_path: Path) -> None:
    path = write_nbi(tmp_path, 2012, [{"STRUCTURE_NUMBER_008": str(number)} for number in range(40)])
    path.write_bytes(path.read_bytes().replace(b",1974,", b",1974,,", 7))
    whole = read_nbi(path)
    for size in (100, 700, 1501):
        parts = read_nbi(path, size)
        assert parts.rows_read == whole.rows_read == 40
        assert parts.records.equals(whole.records)
        assert parts.rejected.equals(whole.rejected)
    assert whole.rejected.height == 7


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", SourceError, "the file is empty"),
        (b"\n\n", SourceError, "the file is empty"),
        (b"<!DOCTYPE html><html>Moved</html>", SourceError, "this is a web page"),
        (b'[{"BL01": 99}]', SourceError, r"this is JSON.*SNBI"),
        (b"a,b,c\n1,2,3\n", LayoutError, r"header row \(3 columns\)"),
        (bytes(range(256)) * 20, LayoutError, "not one of the published NBI layouts"),
    ],
)
def test_other_files_are_refused_with_the_reason(
    tmp_path: Path, content: bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / "NBI_2019.txt"
    path.write_bytes(content)
    with pytest.raises(error, match=message) as raised:
        read_nbi(path)
    assert str(path) in str(raised.value)
    assert "What to do" in str(raised.value)


def test_a_header_alone_is_a_file_without_rows(tmp_path: Path) -> None:
    batch = read_nbi(write_nbi(tmp_path, 2019, []))
    assert (batch.rows_read, batch.records.height, batch.rejected.height) == (0, 0, 0)


def test_the_arrow_type_of_a_column_follows_from_its_item(tmp_path: Path) -> None:
    schema = read_nbi(write_nbi(tmp_path, 2019, [{}])).table.schema
    assert schema.field("line_number").type == pa.uint32()
    assert schema.field("OWNER_022").type == pa.dictionary(pa.int32(), pa.string())
    assert schema.field("ADT_029").type == pa.int32()
    assert schema.field("STRUCTURE_LEN_MT_049").type == pa.float64()
    numbers = ("STRUCTURE_NUMBER_008", "LRS_INV_ROUTE_013A", "LAT_016", "LONG_017", "OTHR_STATE_STRUC_NO_099")
    assert set(numbers) == HIGH_CARDINALITY_CODES
    for name in (*numbers, "FACILITY_CARRIED_007", "unparsed"):
        assert schema.field(name).type == pa.string(), name


def test_other_number_formats_are_parsed_and_unparseable_text_is_kept(tmp_path: Path) -> None:
    cells = {
        "1e3": (1000, 1000.0), "+5": (5, 5.0), "00000000000000000012": (12, 12.0), "1.5": (None, 1.5),
        "1.0": (1, 1.0), "2147483648": (None, 2147483648.0), "1e99": (None, 1e99), "nan": (None, None),
        "inf": (None, None), "x": (None, None), "-7": (-7, -7.0), "": (None, None),
    }  # fmt: skip
    rows = [{"ADT_029": cell, "DECK_WIDTH_MT_052": cell} for cell in cells]
    records = read_nbi(write_nbi(tmp_path, 2019, rows)).records
    assert list(records.select("ADT_029", "DECK_WIDTH_MT_052").rows()) == list(cells.values())
    unparsed = {
        cell: "; ".join(
            f"{name}='{cell}'"
            for name, value in zip(("ADT_029", "DECK_WIDTH_MT_052"), values, strict=True)
            if cell and value is None
        )
        for cell, values in cells.items()
    }
    assert records["unparsed"].to_list() == [text or None for text in unparsed.values()]


def test_one_batch_per_block_of_bytes_and_an_empty_one_without_rows() -> None:
    text = nbi_text(2019, [{"STRUCTURE_NUMBER_008": str(number)} for number in range(5)]).encode()
    assert [batch.rows_read for batch in read_batches(io.BytesIO(text), "NBI_2019.txt")] == [5]
    assert [batch.layout for batch in read_batches(io.BytesIO(text), "NBI_2019.txt")] == [layout_of_year(2019).name]
    line = len(text.splitlines(keepends=True)[1])
    small = [batch.rows_read for batch in read_batches(io.BytesIO(text.rstrip()), "x", batch_bytes=2 * line)]
    assert small == [2, 2, 1]
    shorter = [batch.rows_read for batch in read_batches(io.BytesIO(text), "x", batch_bytes=line // 2)]
    assert shorter == [1] * 5
    header = nbi_text(2019, []).encode()
    assert [batch.rows_read for batch in read_batches(io.BytesIO(header), "x")] == [0]


def test_an_error_contains_the_path_or_else_the_name() -> None:
    for where in (None, "folder/NBI_2019.txt"):
        with pytest.raises(SourceError, match=where or "the name"):
            next(read_batches(io.BytesIO(b""), "the name", where=where))


def test_a_rejected_record_keeps_its_text_unchanged() -> None:
    layout = layout_of_year(2019)
    good, no_key = nbi_line(layout), nbi_line(layout, STATE_CODE_001="")
    lines = [
        ",".join(layout.columns),
        good,
        "X",
        good.replace("BEAR", "B\0\0R"),
        "\0",
        no_key,
        " \t",
        "\x1a",
        "a,b",
        "",
    ]
    content = "\r\n".join(lines).encode()
    assert count_rows(io.BytesIO(content)) == 6
    (batch,) = read_batches(io.BytesIO(content), "NBI_2019.txt")
    assert batch.rows_read == 6
    columns = len(layout.columns)
    assert batch.rejected.rows() == [
        ("NBI_2019.txt", 3, "field_count", f"{columns} fields expected, 1 found", "X"),
        ("NBI_2019.txt", 4, "unreadable", "2 NUL bytes", good.replace("BEAR", "B\\0\\0R")),
        ("NBI_2019.txt", 5, "unreadable", "1 NUL bytes", "\\0"),
        ("NBI_2019.txt", 6, "no_key", "State code or structure number is blank", no_key),
        ("NBI_2019.txt", 9, "field_count", f"{columns} fields expected, 2 found", "a,b"),
    ]
    assert batch.rejected.columns == ["file", "line_number", "reason", "detail", "line"]
    assert list(REJECTION_REASONS) == [
        "field_count",
        "one_sided_quote",
        "unexpected_quotes",
        "unreadable",
        "no_key",
        "changed_key",
        "repeated_header",
        "no_year",
    ]


def test_records_of_another_format_become_a_batch(tmp_path: Path) -> None:
    read = read_nbi(write_nbi(tmp_path, 2019, [{}, {"OWNER_022": "99"}]))
    batch = Batch.from_polars(read.records.select(reversed(read.records.columns)), read.rejected, 2, "other")
    assert batch.table.schema == read.table.schema
    assert batch.records.equals(read.records)
    assert (batch.rows_read, batch.layout, batch.rejected.height) == (2, "other", 0)


def test_a_file_may_mix_lines_of_both_encodings(tmp_path: Path) -> None:
    path = write_nbi(tmp_path, 2010, [{"FACILITY_CARRIED_007": name} for name in ("CA1ON", "CA2ON", "CA3ON")])
    path.write_bytes(path.read_bytes().replace(b"A1O", "AÑO".encode("latin-1")).replace(b"A2O", "AÑO".encode()))
    assert read_nbi(path).records["FACILITY_CARRIED_007"].to_list() == ["CAÑON", "CAÑON", "CA3ON"]


TEXT = st.text(st.characters(codec="latin-1", exclude_characters=",\r\n\0\x1a\x85"), max_size=20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_any_text_is_read_without_its_padding(tmp_path: Path, texts: list[tuple[str, str]]) -> None:
    path = tmp_path / "NBI_2017.txt"
    rows = [{"FACILITY_CARRIED_007": one, "LOCATION_009": other} for one, other in texts]
    path.write_text(nbi_text(2017, rows), encoding="utf-8", newline="")
    records = read_nbi(path).records
    assert records["FACILITY_CARRIED_007"].to_list() == [one.strip(" \t") or None for one, _ in texts]
    assert records["LOCATION_009"].to_list() == [other.strip(" \t") or None for _, other in texts]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_lose_a_row_or_raise(tmp_path: Path, noise: bytes, between: bool) -> None:
    path = tmp_path / "NBI_2019.txt"
    layout = layout_of_year(2019)
    good = nbi_line(layout).encode()
    path.write_bytes(
        ",".join(layout.columns).encode() + b"\n" + good + (b"\n" if between else b"") + noise + b"\n" + good
    )
    batch = read_nbi(path)
    assert batch.rows_read == row_count(path) == batch.records.height + batch.rejected.height
