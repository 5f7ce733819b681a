"""Files of a source folder that are not used are named, and a file that may not be read is explained."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from support.nbi_files import write_nbi

from bridge_assets.cli.run import _source_years
from bridge_assets.data.ingest.pandas_api import load_bridge_data
from bridge_assets.data.reading import file_names
from bridge_assets.data.sources.acquire import acquire_survey_year
from bridge_assets.data.sources.survey_files import left_alone, survey_files, survey_source, verify_unchanged
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings
from bridge_assets.storage import digest

EXCEL = "Left alone: NBI_2024.xlsx (Excel: save as CSV UTF-8, or install the extra excel)"


@pytest.fixture(autouse=True)
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """`reading.test_workbooks` has the cases in which workbooks are read."""
    monkeypatch.setattr(file_names, "excel_is_readable", lambda: False)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may enter, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def as_a_user() -> Iterator[None]:
    """As somebody whom permissions bind: root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["NBI_2019.txt", "2019", "."])
def test_what_may_not_be_read_is_explained(shared: Path, name: str) -> None:
    write_nbi(shared / "2019", 2019, [{}], "AK.txt")
    write_nbi(shared, 2018, [{}])
    write_nbi(shared, 2019, [{}])
    if name == "NBI_2019.txt":
        shutil.rmtree(shared / "2019")
    (shared / name).chmod(0)
    with as_a_user(), pytest.raises(SourceError, match="cannot be read") as caught:
        survey_source(shared, 2019)
    assert str(caught.value).startswith(f"{shared / name}: ")
    assert "Permission denied" in str(caught.value)
    assert "What to do: " in str(caught.value)
    if name != ".":
        with as_a_user():
            assert set(survey_files(shared)) == {2018, 2019}
            assert set(left_alone(shared, survey_files(shared))) == set()
            assert survey_source(shared, 2018).files[0].path.name == "NBI_2018.txt"  # the other years can be read


def test_a_file_that_may_no_longer_be_read_when_it_is_loaded_is_explained(shared: Path) -> None:
    path = write_nbi(shared, 2019, [{}])
    sha256 = digest(path)
    path.chmod(0)
    with as_a_user(), pytest.raises(SourceError, match=r"NBI_2019\.txt: .*cannot be read.*Permission denied"):
        verify_unchanged(path, sha256)


def test_a_table_that_may_not_be_read_is_left_alone_until_it_may(shared: Path) -> None:
    table = shared / "bridges.csv"
    table.write_text("survey_year,STATE_CODE_001,STRUCTURE_NUMBER_008\n2019,01,7\n")
    table.chmod(0)
    with as_a_user():
        assert survey_files(shared) == {}
        [reason] = left_alone(shared, {}).values()
    assert "Permission denied" in reason
    table.chmod(0o644)
    with as_a_user():
        assert survey_files(shared) == {2019: [table]}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("NBI_2024.xlsx", "PK", "Excel: save as CSV UTF-8, or install the extra excel"),
        ("NBI_2024.XLS", "", "Excel: save as CSV UTF-8 or as .xlsx"),
        ("AL26.json", "[]", "JSON, such as SNBI of 2026 on, is not read: use the delimited file of FHWA"),
        ("NBI.txt", "", "no survey year, or more than one, in its name"),
        ("NBI_2019_2020.zip", "", "no survey year, or more than one, in its name"),
        (
            "bridges.csv",
            "STATE_CODE_001,STRUCTURE_NUMBER_008\n01,7\n",
            "no survey year, or more than one, in its name, and none in its rows",
        ),
        ("report.pdf", "", "not one of .csv, .gz, .parquet, .txt, .zip"),
        ("old/NBI_2019.txt", "", "a folder that is not named after a survey year"),
        ("2024/NBI.xlsx", "", "Excel: save as CSV UTF-8, or install the extra excel"),
    ],
)
def test_a_file_that_is_left_alone_has_its_reason(tmp_path: Path, name: str, content: str, reason: str) -> None:
    used = write_nbi(tmp_path, 2019, [{}])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    (tmp_path / ".hidden.xlsx").write_text("")
    (tmp_path / "NBI_2019.txt.dvc").write_text("")
    found = survey_files(tmp_path)
    assert found == {2019: [used]}
    assert left_alone(tmp_path, found) == {"old/" if name.startswith("old/") else name: reason}


def test_no_file_is_left_alone_in_a_folder_of_survey_files(tmp_path: Path) -> None:
    write_nbi(tmp_path / "2018", 2018, [{}], "AK.txt")
    (tmp_path / "bridges.csv").write_text("survey_year,STATE_CODE_001,STRUCTURE_NUMBER_008\n2017,01,7\n")
    assert left_alone(tmp_path, survey_files(tmp_path)) == {}


def test_a_folder_with_an_excel_file_only_does_not_deny_that_its_name_has_a_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(tmp_path))
    for load in (lambda: load_bridge_data(tmp_path), lambda: _source_years(DataSettings.load(), "folder")):
        with pytest.raises(SourceError, match="It is empty"):
            load()
    (tmp_path / "NBI_2024.xlsx").write_text("")
    for load in (
        lambda: load_bridge_data(tmp_path),
        lambda: load_bridge_data(tmp_path, 2024),
        lambda: survey_source(tmp_path, 2024),
        lambda: _source_years(DataSettings.load(), "folder"),
    ):
        with pytest.raises(SourceError) as caught:
            load()
        assert EXCEL in str(caught.value)
        assert "year in its name" not in str(caught.value)


def test_an_excel_file_beside_survey_files_is_named_and_a_readme_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(tmp_path))
    write_nbi(tmp_path, 2019, [{}])
    for name in ("NBI_2024.xlsx", "README.md"):
        (tmp_path / name).write_text("")
    with click.Context(click.Command("run")):
        assert _source_years(DataSettings.load(), "folder") == [2019]
    assert capsys.readouterr().err == f"folder: {EXCEL}\n"
    with caplog.at_level(logging.WARNING):
        assert len(load_bridge_data(tmp_path)) == 1
    assert EXCEL in caplog.text
    assert "README" not in caplog.text


def test_files_of_a_bucket_that_are_left_alone_are_named_too(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import s3fs

    bucket = s3fs.S3FileSystem()
    bucket.mkdir("leftalone")
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", "s3://leftalone/nbi")
    for name in ("NBI_2024.xlsx", "README.md", "table.csv", "old/NBI_2019.txt", ".hidden.csv"):
        bucket.pipe(f"leftalone/nbi/{name}", b"x")
    for load in (
        lambda: _source_years(DataSettings.load(), "bucket"),
        lambda: acquire_survey_year(DataSettings.load(), 2024),
    ):
        with pytest.raises(SourceError) as caught:
            load()
        assert EXCEL in str(caught.value)
        assert "in its name; only in a local folder is a table opened" in str(caught.value)
        assert "old/NBI_2019.txt (in a folder that is not named after a survey year)" in str(caught.value)
        assert "No survey file in it" not in str(caught.value)
        assert ".hidden" not in str(caught.value)
    bucket.pipe("leftalone/nbi/NBI_2023.txt", b"x")
    capsys.readouterr()
    assert _source_years(DataSettings.load(), "bucket") == [2023]
    assert EXCEL in capsys.readouterr().err


def test_a_catalogue_without_years_is_not_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", "fhwa")
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__FHWA__CATALOGUE", "{}")
    data = DataSettings(source="fhwa")
    with pytest.raises(SourceError, match=r"fhwa\.catalogue in configs/data_config\.yaml: no survey year is listed"):
        _source_years(data, "fhwa")
