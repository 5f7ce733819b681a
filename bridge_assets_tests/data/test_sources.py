"""A file's name says its survey year; what is missing or double is said, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbi_files import write_nbi

from bridge_assets.data.arrivals import arrivals
from bridge_assets.data.lake import Lake
from bridge_assets.data.sources import survey_file, survey_files, survey_year_of, unchanged
from bridge_assets.nbi.errors import SourceError


@pytest.mark.parametrize(
    ("name", "year"),
    [
        ("NBI_2016.txt", 2016),
        ("2018HwyBridgesDelimitedAllStates.txt", 2018),
        ("AK19.txt", 2019),
        ("al92.TXT", 1992),
        ("AK91.txt", 2091),
        ("fluna_991992-20160919110712.txt", None),
        ("NBI_2016_2017.txt", None),
        ("NBI_2016_v2016.txt", 2016),
        ("bridges.csv", None),
    ],
)
def test_the_survey_year_stands_in_the_name(name: str, year: int | None) -> None:
    assert survey_year_of(name) == year


def test_only_survey_files_are_listed(tmp_path: Path) -> None:
    for name in ("NBI_2017.txt", "AK19.txt", ".NBI_2016.txt", "notes.txt", "oracle.parquet", "NBI_2016.csv"):
        (tmp_path / name).write_text("")
    assert {year: [path.name for path in paths] for year, paths in survey_files(tmp_path).items()} == {
        2016: ["NBI_2016.csv"],
        2017: ["NBI_2017.txt"],
        2019: ["AK19.txt"],
    }


def test_a_missing_folder_says_which_setting_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the source folder is not there.*BRIDGE_ASSETS_DATA__SOURCE"):
        survey_files(tmp_path / "gone")


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="the source folder cannot be read"):
        survey_files(tmp_path / "file")


def test_a_year_without_a_file_lists_the_years_there(tmp_path: Path) -> None:
    for year in (1997, 1999, 2000, 2001):
        write_nbi(tmp_path, year, [])
    with pytest.raises(SourceError, match=r"no file for survey year 1998.*1997, 1999-2001.*NBI_1998\.txt"):
        survey_file(tmp_path, 1998)


def test_two_files_for_one_year_are_both_named(tmp_path: Path) -> None:
    write_nbi(tmp_path, 2019, [])
    write_nbi(tmp_path, 2019, [], name="AK19.txt")
    with pytest.raises(SourceError, match=r"2 files for survey year 2019.*AK19\.txt, NBI_2019\.txt"):
        survey_file(tmp_path, 2019)


def test_a_file_that_changed_or_went_after_it_was_seen_is_refused(tmp_path: Path) -> None:
    path = write_nbi(tmp_path, 2019, [{}])
    seen = survey_file(tmp_path, 2019)
    assert unchanged(path, seen.sha256) == path
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(SourceError, match="the file changed"):
        unchanged(path, seen.sha256)
    path.unlink()
    with pytest.raises(SourceError, match="the file is gone"):
        unchanged(path, seen.sha256)


def test_arrivals_are_new_and_changed_files_only(tmp_path: Path) -> None:
    folder, lake = tmp_path / "source", Lake(tmp_path / "lake")
    for year in (2018, 2019):
        write_nbi(folder, year, [{}])
        lake.write_note("nbi_files", year, {"sha256": survey_file(folder, year).sha256})
    assert arrivals(folder, lake) == ({}, [])

    write_nbi(folder, 2019, [{}, {"STRUCTURE_NUMBER_008": "2"}])
    write_nbi(folder, 2020, [{}])
    (folder / "NBI_2021.txt").write_text("<html>")
    arrived, problems = arrivals(folder, lake)
    assert sorted(arrived) == [2019, 2020]
    assert len(problems) == 1
    assert "web page" in problems[0]
