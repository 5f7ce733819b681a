"""The format is detected from the content; arbitrary bytes in any format raise only the documented errors.

`BRIDGE_ASSETS_FUZZ` is the number of cases for each format (default 40). For a long run:
`BRIDGE_ASSETS_FUZZ=5000 pytest bridge_assets_tests/data/reading/test_formats.py -k damaged`.
"""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.nbi_files import nbi_text, write_nbi

from bridge_assets.data.reading.formats import Format, detect_format, read_survey_file, survey_years_in_file
from bridge_assets.data.records.bridges import decode_bridges, to_polars
from bridge_assets.errors import LayoutError, SourceError
from bridge_assets.nbi.coding_guide.layouts import layout_of_year

FUZZ = int(os.environ.get("BRIDGE_ASSETS_FUZZ", "40"))

INFOBRIDGE = (
    "\ufeffYear,1 - State Name,8 - Structure Number,49 - Structure Length (ft.),58 - Deck Condition Rating\n"
    "2000,Alaska,  12,90.9,6\n2001,Alaska,  12,90.9,5\n2001,Guam,7,,N\n"
).encode()
CANONICAL = b'state_code_001,STRUCTURE_NUMBER_008,survey_year,LOCATION_009\n01,1,2018,"A, B"\n01,2,2019,\n'


def table(path: Path, survey_year: int | None = None) -> pl.DataFrame:
    return pl.concat(
        to_polars(decode_bridges(each.batch, each.file, each.survey_year))
        for each in read_survey_file(path, survey_year)
    )


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    parquet = io.BytesIO()
    pl.read_csv(CANONICAL, infer_schema=False).write_parquet(parquet)
    for content, kind in (
        (nbi_text(2010, [{}]).encode(), Format.NBI),
        (CANONICAL, Format.CSV),
        (CANONICAL.lower(), Format.CSV),
        (INFOBRIDGE, Format.INFOBRIDGE),
        (parquet.getvalue(), Format.PARQUET),
    ):
        for name in ("a.txt", "a.csv", "a.parquet", "a"):
            (tmp_path / name).write_bytes(content)
            assert detect_format(tmp_path / name) is kind
        if kind is not Format.PARQUET:
            (tmp_path / "a.csv").write_bytes(gzip.compress(content))
            assert detect_format(tmp_path / "a.csv") is kind


def test_the_formats_of_real_files_are_detected(real_data: Path) -> None:
    assert detect_format(real_data / "infobridge_44bridges_2000_2024.csv") is Format.INFOBRIDGE
    assert {detect_format(path) for path in (real_data / "nbi").rglob("*.txt")} == {Format.NBI}


def test_a_published_file_without_a_column_is_not_read_as_csv(tmp_path: Path) -> None:
    path = write_nbi(tmp_path, 2019, [{}])
    lines = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("\n".join(",".join(line[:20] + line[21:]) for line in lines))
    with pytest.raises(LayoutError, match=r"missing: 'LONG_017'"):
        table(path)


def test_the_survey_years_in_a_file_are_found(tmp_path: Path, real_data: Path) -> None:
    path = tmp_path / "a.csv"
    for content, years in (
        (INFOBRIDGE, {2000, 2001}),
        (CANONICAL, {2018, 2019}),
        (nbi_text(2010, [{}]).encode(), set()),
    ):
        path.write_bytes(content)
        assert survey_years_in_file(path) == years
        path.write_bytes(gzip.compress(content))
        assert survey_years_in_file(path) == years
    pl.read_csv(CANONICAL).write_parquet(path)
    assert survey_years_in_file(path) == {2018, 2019}
    pl.read_csv(CANONICAL).drop("survey_year").write_parquet(path)
    assert survey_years_in_file(path) == set()
    assert survey_years_in_file(real_data / "infobridge_44bridges_2000_2024.csv") == set(range(2000, 2025))


def test_one_of_several_years_in_a_file_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(INFOBRIDGE)
    assert table(path, 2001)["structure_key"].to_list() == ["02-12", "66-7"]
    with pytest.raises(SourceError, match="The file contains 2000, 2001"):
        table(path, 2005)


def test_a_compressed_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet.gz"
    parquet = io.BytesIO()
    pl.read_csv(CANONICAL).write_parquet(parquet)
    path.write_bytes(gzip.compress(parquet.getvalue()))
    for read in (table, survey_years_in_file):
        with pytest.raises(SourceError, match="compressed Parquet"):
            read(path)


def test_a_web_page_is_reported_before_the_missing_year(tmp_path: Path) -> None:
    (tmp_path / "download").write_text("<html>moved</html>")
    with pytest.raises(SourceError, match="web page"):
        table(tmp_path / "download")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters=",\r\n\0\x1a\x85"), max_size=20)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), st.sampled_from([1992, 2010, 2016, 2017, 2019]))
def test_a_published_file_gives_the_same_table_from_gzip_and_zip(
    folder: Path, texts: list[tuple[str, str]], year: int
) -> None:
    rows = [{"FACILITY_CARRIED_007": one, "LOCATION_009": other} for one, other in texts]
    data = nbi_text(year, rows).encode()
    (folder / f"NBI_{year}.txt").write_bytes(data)
    (folder / f"NBI_{year}.txt.gz").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(folder / f"{year}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("any.txt", data)
    plain, *packed = (
        table(folder / name).drop("file") for name in (f"NBI_{year}.txt", f"NBI_{year}.txt.gz", f"{year}.zip")
    )
    assert plain["LOCATION_009"].to_list() == [other.strip(" \t") or None for _, other in texts]
    assert all(plain.equals(each) for each in packed)


def _samples() -> dict[str, bytes]:
    layout = layout_of_year(2019)
    nbi = (",".join(layout.columns) + "\n" + nbi_text(2019, [{}, {}]).split("\n", 1)[1]).encode()
    parquet, archive = io.BytesIO(), io.BytesIO()
    pl.read_csv(CANONICAL, infer_schema=False).write_parquet(parquet)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("readme.txt", "none")
        file.writestr("AK19.txt", nbi)
    return {
        "nbi": nbi,
        "canonical": CANONICAL,
        "semicolons": CANONICAL.replace(b",", b";"),
        "utf16": CANONICAL.replace(b",", b"\t").decode().encode("utf-16"),
        "single_quotes": b"STATE_CODE_001;STRUCTURE_NUMBER_008;LOCATION_009\n01;'1';'O'NEAL '\n01;'1.00E+14';'A'\n",
        "infobridge": INFOBRIDGE,
        "parquet": parquet.getvalue(),
        "zip": archive.getvalue(),
        "gzip": gzip.compress(INFOBRIDGE),
    }


SAMPLES = _samples()


@pytest.mark.parametrize("kind", list(SAMPLES))
@settings(max_examples=FUZZ, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_and_no_row_is_lost(folder: Path, kind: str, data: st.DataObject) -> None:
    content = bytearray(SAMPLES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        how = data.draw(st.sampled_from(["flip", "set", "cut", "insert", "repeat"]))
        if how == "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del content[at : at + data.draw(st.integers(1, 40))]
        elif how == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=20))
        else:
            content[at:at] = content[: data.draw(st.integers(1, 60))]
        if not content:
            return
    path = folder / f"fuzz_{kind}_2019"
    path.write_bytes(content)
    try:
        batches = list(read_survey_file(path))
        survey_years_in_file(path)
    except SourceError:
        return
    for each in batches:
        assert each.batch.rows_read == each.batch.table.num_rows + each.batch.rejected.height
        to_polars(decode_bridges(each.batch, each.file, each.survey_year))


@settings(max_examples=FUZZ, deadline=None)
@given(
    st.sampled_from(
        [b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"PAR1", b"1 - State,8 - Number\n", CANONICAL[:60]]
    ),
    st.binary(max_size=300),
)
def test_damaged_headers_raise_only_documented_errors(folder: Path, beginning: bytes, noise: bytes) -> None:
    path = folder / "noise_2019"
    path.write_bytes(beginning + noise)
    for read in (lambda: list(read_survey_file(path)), lambda: survey_years_in_file(path)):
        with suppress(SourceError):
            read()
