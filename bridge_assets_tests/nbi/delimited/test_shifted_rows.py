"""Rows that a comma inside a text shifted, and files with a column after the published ones."""

from __future__ import annotations

import logging
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest
from support.nbi_files import nbi_line, read_nbi, row_count

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.reading.formats import count_rows, read_survey_file
from bridge_assets.errors import LayoutError
from bridge_assets.nbi.coding_guide.layouts import LAYOUTS, Layout, layout_of_year
from bridge_assets.nbi.delimited.fields import FieldReader
from bridge_assets.nbi.delimited.kernels import FieldType
from bridge_assets.nbi.delimited.quotes import QuoteChecker

TEXTS = ("FEATURES_DESC_006A", "FACILITY_CARRIED_007", "LOCATION_009")


def write(path: Path, layout: Layout, lines: list[str], extra: str | None = None) -> Path:
    header = ",".join(layout.columns if extra is None else (*layout.columns, extra))
    path.write_text("\n".join([header, *lines]) + "\n", newline="")
    return path


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("item", TEXTS)
@pytest.mark.parametrize("missing", ["ROUTE_PREFIX_005B", "ADT_029"], ids=["before", "after"])
def test_a_shifted_row_with_the_right_number_of_fields_is_rejected(
    tmp_path: Path, layout: Layout, item: str, missing: str
) -> None:
    """One field before or after the text is missing."""
    good, fields = nbi_line(layout), nbi_line(layout, **{item: "BEAR, CREEK"}).split(",")
    is_after = layout.columns.index(missing) > layout.columns.index(item)
    del fields[layout.columns.index(missing) + is_after]
    shifted = ",".join(fields)
    assert len(shifted.split(",")) == len(layout.columns)
    batch = read_nbi(write(tmp_path / "NBI_2019.txt", layout, [good, shifted, good]))
    assert batch.rows_read == 3
    assert batch.records["line_number"].to_list() == [2, 4]
    [(line, reason, detail, text)] = batch.rejected.select("line_number", "reason", "detail", "line").rows()
    assert (line, reason, text) == (3, "one_sided_quote", shifted)
    assert detail.endswith("begins or ends with a quote but not both")


@pytest.mark.parametrize("commas", [1, 2, 3])
@pytest.mark.parametrize("item", TEXTS)
def test_as_many_missing_fields_as_commas_hide_no_shift(tmp_path: Path, item: str, commas: int) -> None:
    """Every choice of missing fields near the text, and some far from it, also on both sides."""
    layout = layout_of_year(2019)
    good = nbi_line(layout)
    place = layout.columns.index(item)
    near = [0, *range(place - 6, place), *range(place + commas + 1, place + commas + 7), 60, 90]
    shifted = []
    for missing in combinations(near, commas):
        for text in (", ".join("ABCD"[: commas + 1]), "','".join("ABCD"[: commas + 1])):
            fields = nbi_line(layout, **{item: text}).split(",")
            assert len(fields) == len(layout.columns) + commas
            shifted.append(",".join(field for index, field in enumerate(fields) if index not in missing))
    batch = read_nbi(write(tmp_path / "NBI_2019.txt", layout, [good, *shifted]))
    loaded = [shifted[line - 3] for line in batch.records["line_number"] if line > 2]
    # A text such as A','B in place of the next text: quote by quote a published row, and no code or number is shifted.
    bare = [index for index, name in enumerate(layout.columns) if name not in TEXTS]
    assert all(
        [line.split(",")[index] for index in bare] == [good.split(",")[index] for index in bare] for line in loaded
    )
    assert not any("'A," in line for line in loaded)
    assert batch.rows_read == 1 + len(shifted)


@pytest.mark.parametrize(
    ("items", "reason", "detail"),
    [
        (
            {"LOCATION_009": "B"},
            "unexpected_quotes",
            "LOCATION_009 is not in quotes, as the other texts of the row are",
        ),
        ({"OWNER_022": "'02'"}, "unexpected_quotes", "OWNER_022 is in quotes, although it is not a text"),
        ({"OWNER_022": "02'"}, "one_sided_quote", "OWNER_022 begins or ends with a quote but not both"),
        ({"ADT_029": "'"}, "one_sided_quote", "ADT_029 begins or ends with a quote but not both"),
    ],
)
def test_a_row_with_other_quotes_than_its_file_is_rejected(
    tmp_path: Path, items: dict[str, str], reason: str, detail: str
) -> None:
    layout = layout_of_year(2019)
    fields = nbi_line(layout).split(",")
    for item, field in items.items():
        fields[layout.columns.index(item)] = field
    path = write(tmp_path / "NBI_2019.txt", layout, [nbi_line(layout), ",".join(fields)])
    assert read_nbi(path).rejected.select("line_number", "reason", "detail").rows() == [(3, reason, detail)]


def quoted(line: str, layout: Layout, *items: str) -> str:
    """The line with the non-empty fields of these items in quotes."""
    fields = line.split(",")
    for index in map(layout.columns.index, items):
        fields[index] = fields[index] and f"'{fields[index]}'"
    return ",".join(fields)


def test_codes_in_quotes_are_read_where_the_first_rows_have_them(tmp_path: Path) -> None:
    layout = layout_of_year(2019)
    line = quoted(nbi_line(layout), layout, "OWNER_022")
    batch = read_nbi(write(tmp_path / "NBI_2019.txt", layout, [line] * 3))
    assert batch.records["OWNER_022"].to_list() == ["02"] * 3


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_a_code_may_be_in_quotes_although_it_is_empty_in_the_first_row(tmp_path: Path, size: int) -> None:
    """A program that puts all texts in quotes writes nothing, not a pair of quotes, for an empty one."""
    layout = layout_of_year(2019)
    codes = ("STRUCTURE_NUMBER_008", "OWNER_022", "WORK_PROPOSED_075A", "CRITICAL_FACILITY_006B")
    plain = [
        nbi_line(layout, WORK_PROPOSED_075A="", CRITICAL_FACILITY_006B=""),
        *(nbi_line(layout, WORK_PROPOSED_075A="31", CRITICAL_FACILITY_006B="") for _ in range(30)),
        *(nbi_line(layout, WORK_PROPOSED_075A="31", CRITICAL_FACILITY_006B="*") for _ in range(200)),
    ]
    shifted = quoted(plain[-1], layout, *codes).replace(",'*',", ",,'*,'A',", 1)
    fields = shifted.split(",")
    del fields[layout.columns.index("ADT_029") + 2]
    lines = [plain[0], ",".join(fields), *plain[1:]]
    path = write(
        tmp_path / "NBI_2019.txt",
        layout,
        [line if line == lines[1] else quoted(line, layout, *codes) for line in lines],
    )
    batch = read_nbi(path, size)
    assert batch.rejected["line_number"].to_list() == [3]
    bare = read_nbi(write(tmp_path / "bare_2019.txt", layout, lines[:1] + lines[2:]), size)
    assert batch.records.drop("line_number").equals(bare.records.drop("line_number"))


def test_codes_of_letters_alone_may_be_in_quotes(tmp_path: Path) -> None:
    """Some programs put quotes around `N` and none around 7: every row of such a file was rejected."""
    layout = layout_of_year(2019)
    plain = [nbi_line(layout, DECK_COND_058=code) for code in ("7", "N", "6")]
    items = ("STRUCTURE_NUMBER_008", "DECK_COND_058")
    lines = [quoted(line, layout, *items[: 2 if code == "N" else 1]) for line, code in zip(plain, "7N6", strict=True)]
    batch = read_nbi(write(tmp_path / "NBI_2019.txt", layout, lines))
    assert batch.records["DECK_COND_058"].to_list() == ["7", "N", "6"]


@pytest.mark.parametrize("quote", ["'", ""], ids=["published", "without quotes"])
def test_the_header_row_of_a_joined_file_is_not_a_bridge(tmp_path: Path, quote: str) -> None:
    layout = layout_of_year(2019)
    line, header = nbi_line(layout).replace("'", quote), ",".join(layout.columns)
    path = write(tmp_path / "NBI_2019.txt", layout, [line, header, line])
    assert read_nbi(path).rejected.select("line_number", "reason", "detail").rows() == [
        (3, "repeated_header", "the row repeats the column names")
    ]
    path.write_text(path.read_text().lower().replace(",", ";").replace("'", ""))
    [year] = read_survey_file(path)
    assert year.batch.rejected.select("line_number", "reason").rows() == [(3, "repeated_header")]
    assert year.batch.records.height == 2


def test_quotes_that_all_rows_have_need_no_second_look() -> None:
    """Looking again at every row of a national file, in Python, takes a minute."""
    layout = layout_of_year(2019)
    lines = (quoted(nbi_line(layout), layout, "STRUCTURE_NUMBER_008") + "\n").encode() * 50
    quotes = QuoteChecker(layout)
    quotes.learn(lines)
    reader = FieldReader([FieldType.TEXT] * len(layout.columns), quotes.required, quotes.uncounted)
    assert not quotes.suspects(reader.read(lines).quotes)


def test_no_real_row_is_taken_for_a_shifted_one(real_data: Path) -> None:
    files = list((real_data / "nbi").rglob("*.txt"))
    rejected = [batch.rejected for batch in map(read_nbi, files) if batch.rejected.height]
    assert len(files) > 20
    assert not rejected


@pytest.mark.parametrize("text", ["O'NEAL ROAD", "DUKES'", "'TIL CREEK", "'", "''", "'A'", "FARMERS' '"])
@pytest.mark.parametrize("item", TEXTS)
def test_apostrophes_inside_quotes_are_kept(tmp_path: Path, item: str, text: str) -> None:
    layout = layout_of_year(2019)
    batch = read_nbi(write(tmp_path / "NBI_2019.txt", layout, [nbi_line(layout, **{item: text})]))
    assert batch.records[item].to_list() == [text]


def test_a_row_written_without_quotes_may_end_in_an_apostrophe(tmp_path: Path) -> None:
    layout = layout_of_year(2019)
    line = nbi_line(layout, LOCATION_009="AT DUKES").replace("'", "").replace("AT DUKES", "AT DUKES'")
    batch = read_nbi(write(tmp_path / "NBI_2019.txt", layout, [line]))
    assert batch.records["LOCATION_009"].to_list() == ["AT DUKES'"]


def test_a_row_without_a_key_has_one_reason(tmp_path: Path) -> None:
    layout = layout_of_year(2019)
    line = nbi_line(layout, LOCATION_009="AT DUKES").replace("'AT DUKES", "AT DUKES").replace("1234", "    ")
    batch = read_nbi(write(tmp_path / "NBI_2019.txt", layout, [line]))
    assert batch.rejected["reason"].to_list() == ["no_key"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("extra", ["MY_NOTE", ""])
def test_an_unknown_column_at_the_end_is_left_out_with_a_warning(
    tmp_path: Path, layout: Layout, extra: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [nbi_line(layout) + end for end in (",seen, twice", ",12", ",", "")]
    path = write(tmp_path / "NBI_2019.txt", layout, lines, extra)
    plain = read_nbi(write(tmp_path / "plain_2019.txt", layout, [nbi_line(layout)] * 2))
    with caplog.at_level(logging.WARNING):
        report = ingest([path], 2019, tmp_path / "records.parquet", tmp_path / "rejected.parquet")
    assert report.warnings == (
        f"NBI_2019.txt: the column {extra!r} after the published ones is not an item and is not read",
    )
    assert report.warnings[0].partition(": ")[2] in caplog.text
    assert (report.rows_read, report.loaded, report.rejected) == (4, 2, 2)
    assert row_count(path) == count_rows(path, 2019) == 4
    items = [name for name in plain.records.columns if name != "line_number"]
    assert (
        pl.concat(each.batch.records for each in read_survey_file(path, 2019))
        .select(items)
        .equals(plain.records.select(items))
    )


@pytest.mark.parametrize("heading", ["DECK_COND_058", "DECK_COND_58A", "DECK_COND_158", "CAT29", "BRIDGE_CONDITION"])
def test_an_item_at_the_end_is_not_taken_for_an_unknown_column(tmp_path: Path, heading: str) -> None:
    layout = layout_of_year(1992)
    path = write(tmp_path / "NBI_1992.txt", layout, [nbi_line(layout) + ",1"], heading)
    if heading == "DECK_COND_58A":  # no item has such a number
        assert read_nbi(path).records.height == 1
        return
    with pytest.raises(LayoutError):
        read_nbi(path)


def test_two_unknown_columns_are_refused(tmp_path: Path) -> None:
    layout = layout_of_year(2019)
    path = write(tmp_path / "NBI_2019.txt", layout, [nbi_line(layout) + ",1,2"], "A,B")
    with pytest.raises(LayoutError, match="not expected: 'A', 'B'"):
        read_nbi(path)
