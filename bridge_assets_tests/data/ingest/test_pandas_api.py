"""Bridge data is read from any source into one table; saving and loading a table preserves it."""

from __future__ import annotations

import functools
import gzip
import http.server
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.dvc_program import require_dvc
from support.nbi_files import nbi_text, write_nbi

from bridge_assets.data.dvc.versions import dvc_add
from bridge_assets.data.ingest.pandas_api import load_bridge_data, rejected_bridge_data, save_processed_data
from bridge_assets.data.records.bridges import BRIDGE_SCHEMA
from bridge_assets.errors import LayoutError, SourceError

TRICKY = [
    {"STATE_CODE_001": "01", "OWNER_022": "01", "FACILITY_CARRIED_007": 'O\'NEAL "OLD" ROAD', "LOCATION_009": "NA"},
    {"STATE_CODE_001": "02", "STRUCTURE_NUMBER_008": "NA", "ADT_029": "", "LOCATION_009": "", "DECK_COND_058": "N"},
    {"STRUCTURE_NUMBER_008": "0001234", "ADT_029": "12x", "STRUCTURE_LEN_MT_049": "0.1", "LOCATION_009": "null"},
]


def keys(table: pd.DataFrame) -> list[str]:
    return table["structure_key"].tolist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_saved_table_loads_unchanged(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "source"
    for year in (1997, 2012, 2019):
        write_nbi(source, year, TRICKY)
    table = load_bridge_data(source)
    assert len(table) == 9
    for saved, name in ((table, "all"), (table.sample(frac=1, random_state=1).reset_index(drop=True), "mixed")):
        save_processed_data(saved, tmp_path / f"{name}{suffix}")
        pd.testing.assert_frame_equal(load_bridge_data(tmp_path / f"{name}{suffix}"), saved)


@pytest.mark.parametrize("name", ["AK19.txt", "layouts/nbi_1992.txt", "layouts/nbi_2010.txt", "layouts/nbi_2017.txt"])
def test_real_records_survive_csv_and_parquet(real_data: Path, tmp_path: Path, name: str) -> None:
    table = load_bridge_data(real_data / "nbi" / name)
    for suffix in (".csv", ".parquet"):
        save_processed_data(table, tmp_path / f"table{suffix}")
        pd.testing.assert_frame_equal(load_bridge_data(tmp_path / f"table{suffix}"), table)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters=",\n\0\x1a"), max_size=15)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, TEXT, st.integers(0, 2**31 - 1), st.floats(0, 1e6)), min_size=1, max_size=4))
def test_any_table_survives_csv_and_parquet(tmp_path: Path, rows: list[tuple[str, str, int, float]]) -> None:
    items = ("FACILITY_CARRIED_007", "LOCATION_009", "ADT_029", "STRUCTURE_LEN_MT_049")
    write_nbi_utf8(tmp_path / "NBI_2019.txt", [dict(zip(items, map(str, row), strict=True)) for row in rows])
    table = load_bridge_data(tmp_path / "NBI_2019.txt")
    for suffix in (".csv", ".parquet"):
        save_processed_data(table, tmp_path / f"table{suffix}")
        pd.testing.assert_frame_equal(load_bridge_data(tmp_path / f"table{suffix}"), table)


def write_nbi_utf8(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text(nbi_text(2019, rows, "\n"), encoding="utf-8", newline="")


def test_the_survey_year_comes_from_the_name_of_the_archive(tmp_path: Path) -> None:
    data = nbi_text(2016, TRICKY).encode()
    (tmp_path / "AK16.txt.gz").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(tmp_path / "2016hwybronlyonefile.zip", "w") as archive:
        archive.writestr("fluna_992011-1.txt", data)
    for name, file in (
        ("AK16.txt.gz", "AK16.txt.gz"),
        ("2016hwybronlyonefile.zip", "2016hwybronlyonefile.zip/fluna_992011-1.txt"),
    ):
        table = load_bridge_data(tmp_path / name)
        assert set(table["survey_year"]) == {2016}
        assert set(table["file"]) == {file}
        assert len(table) == 3


def test_a_folder_of_state_files_is_one_table(tmp_path: Path) -> None:
    write_nbi(tmp_path, 2019, [{"STATE_CODE_001": "02"}], "AK19.txt")
    write_nbi(tmp_path, 2019, [{"STATE_CODE_001": "01"}, {"STRUCTURE_NUMBER_008": ""}], "AL19.txt")
    write_nbi(tmp_path, 2018, [{"STATE_CODE_001": "01"}], "AL18.txt")
    table = load_bridge_data(tmp_path)
    assert list(table["file"]) == ["AL18.txt", "AK19.txt", "AL19.txt"]
    assert list(table["survey_year"]) == [2018, 2019, 2019]
    assert keys(load_bridge_data(tmp_path, 2019)) == ["02-1234", "01-1234"]
    assert rejected_bridge_data(tmp_path)["file"].tolist() == ["AL19.txt"]
    with pytest.raises(SourceError, match="no file for survey year 2017"):
        load_bridge_data(tmp_path, 2017)


def test_a_table_with_a_year_column_in_a_folder_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_text(
        "Year,1 - State Name,8 - Structure Number\n2019,Alaska,1\n2018,Alaska,2\n2019,Alaska,3\n"
    )
    assert keys(load_bridge_data(tmp_path)) == ["02-1", "02-2", "02-3"]
    assert keys(load_bridge_data(tmp_path, 2018)) == ["02-2"]


def test_conflicting_files_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no survey file in the folder"):
        load_bridge_data(tmp_path)
    for name in ("NBI_2019.txt", "bridges_2019.csv"):
        write_nbi(tmp_path, 2019, [{}], name)
    with pytest.raises(SourceError, match="2 files for survey year 2019"):
        load_bridge_data(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_an_address_is_read(server: str, tmp_path: Path) -> None:
    write_nbi(tmp_path, 2019, TRICKY)
    table = load_bridge_data(f"{server}/NBI_2019.txt")
    assert keys(table) == keys(load_bridge_data(tmp_path / "NBI_2019.txt"))
    assert set(table["file"]) == {"NBI_2019.txt"}
    assert len(load_bridge_data((tmp_path / "NBI_2019.txt").as_uri())) == 3
    with pytest.raises(SourceError):
        load_bridge_data(f"{server}/NBI_2018.txt")


def test_a_bucket_is_read(s3_endpoint: str, tmp_path: Path) -> None:
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="loading")
    client.put_object(Bucket="loading", Key="2019/AK19.txt.gz", Body=gzip.compress(nbi_text(2019, TRICKY).encode()))
    assert len(load_bridge_data("s3://loading/2019/AK19.txt.gz")) == 3


def test_a_file_that_dvc_tracks_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_dvc()
    for variable in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    remote, project = tmp_path / "remote", tmp_path / "project"
    remote.mkdir()
    (project / ".dvc").mkdir(parents=True)
    (project / ".dvc" / "config").write_text(
        f"[core]\nno_scm = True\nanalytics = false\nremote = there\n['remote \"there\"']\nurl = {remote}\n"
    )
    path = write_nbi(project / "source", 2019, TRICKY)
    assert dvc_add(path) == 0
    path.unlink()
    assert len(load_bridge_data(path)) == 3
    assert path.is_file()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist") as raised:
        load_bridge_data(tmp_path / "NBI_2019.txt")
    assert str(tmp_path) in str(raised.value)


def test_a_damaged_archive_gives_no_table(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(nbi_text(2019, TRICKY).encode()))
    data[-8] ^= 1
    (tmp_path / "AK19.txt.gz").write_bytes(data)
    with pytest.raises(SourceError, match="damaged"):
        load_bridge_data(tmp_path / "AK19.txt.gz")


def test_a_small_table_is_extended_to_all_columns(tmp_path: Path) -> None:
    (tmp_path / "bridges_2019.csv").write_text("structure_number_008,State_Code_001,CAT10\n5,02,G\n")
    table = load_bridge_data(tmp_path / "bridges_2019.csv")
    assert list(table.columns) == list(BRIDGE_SCHEMA)
    assert (keys(table), table["BRIDGE_CONDITION"].tolist()) == (["02-5"], ["G"])
    (tmp_path / "bridges_2019.csv").write_text("structure_number_008,CAT10\n5,G\n")
    with pytest.raises(LayoutError):
        load_bridge_data(tmp_path / "bridges_2019.csv")
