"""Survey year and state come from the file name; missing and conflicting files are errors, never guesses."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from support.nbi_files import write_nbi

from bridge_assets.data.reading.file_names import state_of, survey_year_of
from bridge_assets.data.sources.survey_files import (
    SurveySource,
    source_files_from_provenance,
    survey_files,
    survey_source,
    verify_unchanged,
)
from bridge_assets.errors import SourceError


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
        ("2016hwybronlyonefile.zip", 2016),
        ("NBI_2016.txt.gz", 2016),
        ("AK19.TXT.GZ", 2019),
        ("2019/AK19.txt", 2019),
        ("AK19.3f2a2016c1b7.txt", 2019),
        ("NBI_2016.3f2a2017c1b7.txt.gz", 2016),
        (".txt", None),
    ],
)
def test_the_survey_year_is_in_the_name(name: str, year: int | None) -> None:
    assert survey_year_of(name) == year


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("AK19.txt", "AK"),
        ("2019/al.txt", "AL"),
        ("NBI_MA_2019.csv", "MA"),
        ("NBI_2016.txt", None),
        ("2018HwyBridgesDelimitedAllStates.txt", None),
        ("AL_MA_2019.txt", None),
        ("XX19.txt", None),
    ],
)
def test_the_state_is_in_the_name(name: str, state: str | None) -> None:
    assert state_of(name) == state


def names(source: SurveySource) -> list[str]:
    return [part.path.name for part in source.files]


def test_files_of_several_states_are_one_survey_year(tmp_path: Path) -> None:
    for name in ("AL19.txt", "AK19.txt"):
        write_nbi(tmp_path, 2019, [{"LOCATION_009": name}], name=name)
    source = survey_source(tmp_path, 2019)
    assert names(source) == ["AK19.txt", "AL19.txt"]
    assert len({source.sha256, *(part.sha256 for part in source.files)}) == 3
    assert source.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert source_files_from_provenance(source.provenance()) == source.files
    (tmp_path / "AL19.txt").rename(tmp_path / "AL2019.txt")
    assert survey_source(tmp_path, 2019).sha256 == source.sha256


def test_the_digest_of_one_file_is_its_own(tmp_path: Path) -> None:
    write_nbi(tmp_path, 2019, [])
    source = survey_source(tmp_path, 2019)
    assert source.sha256 == source.files[0].sha256


def test_files_in_a_folder_named_after_a_year_have_that_year(tmp_path: Path) -> None:
    for name in ("AK19.txt", "AL.txt", "MA2019.txt"):
        write_nbi(tmp_path / "2019", 2019, [], name=name)
    write_nbi(tmp_path / "2018", 2018, [], name="whatever.txt")
    write_nbi(tmp_path / "old", 2017, [])
    write_nbi(tmp_path / "2016" / "deeper", 2016, [])
    assert list(survey_files(tmp_path)) == [2018, 2019]
    assert names(survey_source(tmp_path, 2019)) == ["AK19.txt", "AL.txt", "MA2019.txt"]
    assert names(survey_source(tmp_path, 2018)) == ["whatever.txt"]


def test_archives_and_tables_are_survey_files(tmp_path: Path) -> None:
    for name in ("NBI_2016.zip", "NBI_2017.txt.gz", "NBI_2018.parquet", "NBI_2019.csv", "NBI_2020.docx"):
        (tmp_path / name).write_bytes(b"")
    assert list(survey_files(tmp_path)) == [2016, 2017, 2018, 2019]


def test_a_table_with_a_year_column_belongs_to_each_of_its_years(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "STATE_CODE_001": ["01", "01"],
            "STRUCTURE_NUMBER_008": ["1", "1"],
            "survey_year": [2004, 2006],
        }
    )
    table.write_parquet(tmp_path / "bridges.parquet")
    pl.DataFrame({"x": [1]}).write_csv(tmp_path / "other.csv")
    assert {year: [path.name for path in paths] for year, paths in survey_files(tmp_path).items()} == {
        2004: ["bridges.parquet"],
        2006: ["bridges.parquet"],
    }
    write_nbi(tmp_path, 2006, [])
    with pytest.raises(SourceError, match=r"2 files for survey year 2006.*NBI_2006\.txt, bridges\.parquet"):
        survey_source(tmp_path, 2006)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("AK19.txt", "AK19.csv"), r"AK19\.csv, AK19\.txt"),
        (("AK19.txt", "2019/AK.txt", "AL19.txt"), r"2 files.*2019/AK\.txt, AK19\.txt"),
        (("2019/one.txt", "2019/two.txt"), r"2019/one\.txt, 2019/two\.txt"),
        (("NBI_2019.txt", "2019hwybronefiledel.zip"), r"2019hwybronefiledel\.zip, NBI_2019\.txt"),
        (("2019/AK18.txt",), r"2019/AK18\.txt has two survey years.*2019.*2018"),
    ],
)
def test_conflicting_files_are_named(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        write_nbi((tmp_path / name).parent, 2019, [], name=Path(name).name)
    with pytest.raises(SourceError, match=message):
        survey_source(tmp_path, 2019)


def test_provenance_of_another_version_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"another version.*register the survey files again"):
        source_files_from_provenance({"path": "NBI_2016.txt", "sha256": "x"})


def test_only_survey_files_are_listed(tmp_path: Path) -> None:
    for name in ("NBI_2017.txt", "AK19.txt", ".NBI_2016.txt", "notes.txt", "oracle.parquet", "NBI_2016.csv"):
        (tmp_path / name).write_text("")
    assert {year: [path.name for path in paths] for year, paths in survey_files(tmp_path).items()} == {
        2016: ["NBI_2016.csv"],
        2017: ["NBI_2017.txt"],
        2019: ["AK19.txt"],
    }


def test_the_error_for_a_missing_folder_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the source folder does not exist.*BRIDGE_ASSETS_DATA__SOURCE"):
        survey_files(tmp_path / "gone")


def test_a_file_instead_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="the source folder cannot be read"):
        survey_files(tmp_path / "file")


def test_the_error_for_a_year_without_a_file_lists_the_other_years(tmp_path: Path) -> None:
    for year in (1997, 1999, 2000, 2001):
        write_nbi(tmp_path, year, [])
    with pytest.raises(SourceError, match=r"no file for survey year 1998.*1997, 1999-2001.*NBI_1998\.txt"):
        survey_source(tmp_path, 1998)


def test_two_files_for_one_year_are_both_named(tmp_path: Path) -> None:
    write_nbi(tmp_path, 2019, [])
    write_nbi(tmp_path, 2019, [], name="AK19.txt")
    with pytest.raises(SourceError, match=r"2 files for survey year 2019.*AK19\.txt, NBI_2019\.txt"):
        survey_source(tmp_path, 2019)


def test_a_changed_or_deleted_file_is_refused(tmp_path: Path) -> None:
    path = write_nbi(tmp_path, 2019, [{}])
    source = survey_source(tmp_path, 2019)
    assert verify_unchanged(path, source.sha256) == path
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(SourceError, match="the file changed"):
        verify_unchanged(path, source.sha256)
    path.unlink()
    with pytest.raises(SourceError, match="the file no longer exists"):
        verify_unchanged(path, source.sha256)
