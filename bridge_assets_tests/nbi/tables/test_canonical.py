"""Tables with canonical names: the columns they may have, and that no row is lost."""

from __future__ import annotations

import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_assets.errors import LayoutError, SourceError
from bridge_assets.nbi.tables.by_year import SurveyYearSplitter, YearBatch
from bridge_assets.nbi.tables.canonical import read_csv, read_parquet, resolve_columns
from bridge_assets.nbi.tables.quoted_csv import CsvFile

HEAD = "STATE_CODE_001,STRUCTURE_NUMBER_008"


def batches(text: str | bytes, wanted_year: int | None = None, default_year: int | None = 2019) -> list[YearBatch]:
    data = text if isinstance(text, bytes) else text.encode()
    by_year = SurveyYearSplitter("t.csv", "t.csv", "canonical CSV", wanted_year, default_year)
    return list(read_csv(io.BytesIO(data), "t.csv", by_year))


def records(text: str | bytes) -> pl.DataFrame:
    return pl.concat(each.batch.records for each in batches(text))


def rejected(text: str | bytes) -> list[tuple[int, str, str]]:
    table = pl.concat(each.batch.rejected for each in batches(text))
    return table.select("line_number", "reason", "line").rows()


def test_headings_are_recognised_in_any_case_and_under_their_old_names() -> None:
    columns = resolve_columns(["state_code_001", " Structure_Number_008 ", "CAT10", "condition", "my score"], "t.csv")
    assert list(columns.names.values()) == ["STATE_CODE_001", "STRUCTURE_NUMBER_008", "BRIDGE_CONDITION"]
    assert columns.ignored == ("condition", "my score")


@pytest.mark.parametrize(
    ("headings", "message"),
    [
        (["STATE_CODE_001"], "missing column STRUCTURE_NUMBER_008"),
        ([*HEAD.split(","), "CAT10", "BRIDGE_CONDITION"], "BRIDGE_CONDITION occurs twice"),
        ([*HEAD.split(","), "DECK_COND_085"], "unknown item 'DECK_COND_085'"),
    ],
)
def test_ambiguous_missing_and_misspelled_headings_are_refused(headings: list[str], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        resolve_columns(headings, "t.csv")


def test_codes_quotes_and_line_breaks_are_preserved() -> None:
    text = (
        f"{HEAD},OWNER_022,FACILITY_CARRIED_007,LOCATION_009,STRUCTURE_LEN_MT_049\r\n"
        '01,NA,02,"THE ""OLD"" BRIDGE, O\'NEAL","FIRST\nSECOND",32.9\r\n'
        '02,1,,"","  PADDED  ",1e2\r\n'
    )
    table = records(text)
    assert table["line_number"].to_list() == [2, 4]
    assert table["STRUCTURE_NUMBER_008"].to_list() == ["NA", "1"]
    assert table["OWNER_022"].to_list() == ["02", None]
    assert table["FACILITY_CARRIED_007"].to_list() == ['THE "OLD" BRIDGE, O\'NEAL', None]
    assert table["LOCATION_009"].to_list() == ["FIRST\nSECOND", "PADDED"]
    assert table["STRUCTURE_LEN_MT_049"].to_list() == [32.9, 100.0]


def test_rows_that_do_not_fit_are_kept_with_line_reason_and_text() -> None:
    text = f'{HEAD}\n1,1\n1\n1,2,3\n,4\n\n1,\0\n1,"x" y\n1,7\n1,"open\n8,8\n'
    assert rejected(text) == [
        (3, "field_count", "1"),
        (4, "field_count", "1,2,3"),
        (5, "no_key", ",4"),
        (7, "unreadable", "1,\\0"),
        (8, "unreadable", '1,"x" y'),
        (10, "unreadable", '1,"open\n8,8'),
    ]
    assert records(text)["STRUCTURE_NUMBER_008"].to_list() == ["1", "7"]
    assert sum(each.batch.rows_read for each in batches(text)) == 8


def test_an_unparseable_number_is_appended_to_existing_unparsed_text() -> None:
    table = records(f"{HEAD},ADT_029,unparsed\n1,1,12x,\n1,2,1200.0,ADT_029='?'\n1,3,1.5,LANES='x'\n")
    assert table["ADT_029"].to_list() == [None, 1200, None]
    assert table["unparsed"].to_list() == ["ADT_029='12x'", "ADT_029='?'", "LANES='x'; ADT_029='1.5'"]


def test_every_survey_year_of_a_file_is_a_batch_and_one_can_be_selected() -> None:
    text = f"{HEAD},survey_year\n1,1,2018\n1,2,2019\n1,3,2018\n1,4,\n1,5\n"
    found = [(each.survey_year, each.batch.records["STRUCTURE_NUMBER_008"].to_list()) for each in batches(text)]
    assert found == [(2018, ["1", "3"]), (2019, ["2"])]
    assert sum(each.batch.rejected.height for each in batches(text)) == 2
    assert [list(each.row_positions) for each in batches(text) if each.row_positions is not None] == [[0, 2], [1]]
    of_2018 = batches(text, wanted_year=2018)
    assert [each.batch.records.height for each in of_2018] == [2]
    assert of_2018[0].batch.rejected["detail"].to_list() == ["'' is not a survey year", "3 fields expected, 2 found"]
    with pytest.raises(SourceError, match="no records of survey year 2001"):
        batches(text, wanted_year=2001)


def test_a_file_without_a_year_column_has_the_given_or_the_default_year() -> None:
    assert batches(f"{HEAD}\n1,1\n")[0].survey_year == 2019
    assert batches(f"{HEAD}\n1,1\n", wanted_year=2001)[0].survey_year == 2001
    with pytest.raises(SourceError, match="survey year is not known"):
        batches(f"{HEAD}\n1,1\n", default_year=None)


def test_a_table_without_rows_is_an_empty_batch() -> None:
    (only,) = batches(f"{HEAD}\n")
    assert (only.batch.rows_read, only.batch.records.height, only.survey_year) == (0, 0, 2019)


def test_latin_1_and_a_byte_order_mark_are_read() -> None:
    text = f"{HEAD},FACILITY_CARRIED_007\n1,1,CAÑON RD\n"
    for data in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("latin-1")):
        assert records(data)["FACILITY_CARRIED_007"].to_list() == ["CAÑON RD"]


def parquet(table: pl.DataFrame) -> list[YearBatch]:
    file = io.BytesIO()
    table.write_parquet(file)
    file.seek(0)
    return list(
        read_parquet(file, "t.parquet", SurveyYearSplitter("t.parquet", "t.parquet", "canonical Parquet", None, 2019))
    )


def test_parquet_is_read_by_its_types() -> None:
    table = pl.DataFrame(
        {
            "state_code_001": pl.Series(["01", "02", None], dtype=pl.Categorical),
            "STRUCTURE_NUMBER_008": [1, 2, 3],
            "DECK_COND_058": [7.0, None, 5.0],
            "ADT_029": [1200.0, float("nan"), 1.5],
            "YEAR_BUILT_027": ["1974", "x", None],
            "survey_year": pl.Series([2018, 2018, 2019], dtype=pl.Int64),
        }
    )
    found = parquet(table)
    first = found[0].batch.records
    assert first["STRUCTURE_NUMBER_008"].to_list() == ["1", "2"]
    assert first["DECK_COND_058"].to_list() == ["7", None]
    assert first["ADT_029"].to_list() == [1200, None]
    assert first["unparsed"].to_list() == [None, "YEAR_BUILT_027='x'"]
    assert found[1].batch.rejected.select("line_number", "reason", "line").rows() == [
        (3, "no_key", "line_number=3; STRUCTURE_NUMBER_008='3'; DECK_COND_058='5'; unparsed=\"ADT_029='1.5'\"")
    ]


def test_a_nested_parquet_column_is_refused() -> None:
    with pytest.raises(LayoutError, match="STRUCTURE_NUMBER_008 has type"):
        parquet(pl.DataFrame({"STATE_CODE_001": ["1"], "STRUCTURE_NUMBER_008": [["a"]]}))


def test_metadata_that_is_not_text_is_ignored() -> None:
    field = pa.field("STRUCTURE_NUMBER_008", pa.string(), metadata={b"note": b"\xff"})
    schema = pa.schema([pa.field("STATE_CODE_001", pa.string()), field], metadata={b"\xff": b"\xff"})
    file = io.BytesIO()
    pq.write_table(pa.table([["01"], ["7"]], schema=schema), file)
    file.seek(0)
    by_year = SurveyYearSplitter("t.parquet", "t.parquet", "canonical Parquet", None, 2019)
    (only,) = read_parquet(file, "t.parquet", by_year)
    assert only.batch.records["STRUCTURE_NUMBER_008"].to_list() == ["7"]


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6))
def test_any_text_survives_a_csv_round_trip(cells: list[tuple[str, str]]) -> None:
    names = ["FACILITY_CARRIED_007", "LOCATION_009"]
    table = pl.DataFrame(cells, schema=names, orient="row").with_columns(
        STATE_CODE_001=pl.lit("01"), STRUCTURE_NUMBER_008=pl.lit("1")
    )
    expected = [tuple(cell.strip(" \t") or None for cell in row) for row in cells]
    assert records(table.write_csv()).select(names).rows() == expected


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=300))
def test_no_bytes_lose_a_row_or_raise(noise: bytes) -> None:
    found = batches(f"{HEAD},LOCATION_009\n01,1,A\n".encode() + noise)
    for each in found:
        assert each.batch.rows_read == each.batch.records.height + each.batch.rejected.height
    kept = "".join(line for each in found for line in each.batch.rejected["line"])
    text = " ".join(str(value) for each in found for row in each.batch.records.rows() for value in row) + kept
    printable = [word for word in noise.decode("latin-1").replace('"', " ").replace(",", " ").split() if word.isalnum()]
    assert all(word in text for word in printable if word.isascii())


def test_rows_do_not_depend_on_the_chunk_size() -> None:
    text = f"{HEAD}\n" + "".join(f'{number},"{number}\n"\n' if number % 7 else "bad\n" for number in range(50))
    whole = None
    for size in (1, 3, 1000):
        runs = list(CsvFile(io.BytesIO(text.encode()), "t.csv").rows({0: "a", 1: "b"}, size))
        found = [(*run.text.rows(), *run.line_numbers, *run.rejected) for run in runs]
        flat = sorted(str(cell) for run in found for cell in run)
        whole = whole or flat
        assert flat == whole
