"""New and changed survey years are found without downloading a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.download_server import DownloadServer
from support.nbi_files import nbi_text, write_nbi

from bridge_assets.data.ingest.changes import detect_changes
from bridge_assets.data.lake import Lake
from bridge_assets.data.sources.acquire import acquire_survey_year, remote_years
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings


def settings(home: Path, source: str, **more) -> DataSettings:
    return DataSettings(source=source, home=home, **more)


def record_in_nbi_files(data: DataSettings, lake: Lake, *years: int) -> None:
    for year in years:
        lake.write_provenance("nbi_files", year, acquire_survey_year(data, year).provenance())


def test_new_and_changed_years_of_a_folder_are_found(tmp_path: Path) -> None:
    folder, lake = tmp_path / "source", Lake(tmp_path / "lake")
    data = settings(tmp_path, str(folder))
    for year in (2018, 2019):
        write_nbi(folder, year, [{}])
    record_in_nbi_files(data, lake, 2018, 2019)
    assert detect_changes(data, lake) == ({}, [])

    write_nbi(folder, 2019, [{}, {"STRUCTURE_NUMBER_008": "2"}])
    write_nbi(folder, 2020, [{}], name="AL20.txt")
    (folder / "NBI_2021.txt").write_text("<html>")
    changes, problems = detect_changes(data, lake)
    assert sorted(changes) == [2019, 2020]
    assert len(problems) == 1
    assert "web page" in problems[0]

    record_in_nbi_files(data, lake, 2019, 2020)
    write_nbi(folder, 2020, [{}], name="AK20.txt")
    assert detect_changes(data, lake)[0][2020].file_names == ("AK20.txt", "AL20.txt")


def test_versions_of_objects_in_a_bucket_are_compared(s3_endpoint: str, tmp_path: Path) -> None:
    import s3fs

    bucket, lake = s3fs.S3FileSystem(), Lake(tmp_path / "lake")
    bucket.mkdir("arriving")
    data = settings(tmp_path, "s3://arriving/nbi")
    bucket.pipe("arriving/nbi/NBI_2018.txt", nbi_text(2018, [{}]).encode())
    bucket.pipe("arriving/nbi/2019/AK.txt", nbi_text(2019, [{}]).encode())
    assert sorted(detect_changes(data, lake)[0]) == [2018, 2019]
    record_in_nbi_files(data, lake, 2018, 2019)
    assert detect_changes(data, lake) == ({}, [])

    bucket.pipe("arriving/nbi/2019/AL.txt", nbi_text(2019, [{}, {}]).encode())
    bucket.pipe("arriving/nbi/NBI_2018.csv", b"x")
    changes, problems = detect_changes(data, lake)
    assert {year: change.file_names for year, change in changes.items()} == {2019: ("2019/AK.txt", "2019/AL.txt")}
    assert "2 files for survey year 2018" in problems[0]

    bucket.rm("arriving/nbi/NBI_2018.csv")
    record_in_nbi_files(data, lake, 2019)
    bucket.pipe("arriving/nbi/NBI_2018.txt", nbi_text(2018, [{}, {}]).encode())
    first = detect_changes(data, lake)[0][2018]
    assert first == detect_changes(data, lake)[0][2018]
    record_in_nbi_files(data, lake, 2018)
    assert detect_changes(data, lake) == ({}, [])


def test_only_the_latest_fhwa_year_is_checked_until_it_is_recorded(web_server: DownloadServer, tmp_path: Path) -> None:
    fhwa = {
        "national_address": {1992: web_server.address + "/{year}.zip"},
        "catalogue": {year: {} for year in (2023, 2024, 2025)},
    }
    data, lake = settings(tmp_path, "fhwa", fhwa=fhwa), Lake(tmp_path / "lake")
    assert detect_changes(data, lake) == ({}, [])
    assert [request[:2] for request in web_server.requests] == [("HEAD", "/2025.zip")]
    web_server.serve("/2025.zip", b"archive")
    assert detect_changes(data, lake)[0][2025].file_names == ("2025.zip",)
    lake.write_provenance("nbi_files", 2025, {})
    assert detect_changes(data, lake) == ({}, [])
    earlier = settings(tmp_path, "fhwa", fhwa=fhwa, survey_years={"last": 2024})
    web_server.serve("/2024.zip", b"archive")
    assert list(detect_changes(earlier, lake)[0]) == [2024]
    web_server.files["/2024.zip"].status = 503
    with pytest.raises(SourceError, match="503"):
        detect_changes(earlier, lake)


def test_a_single_address_is_new_until_it_is_recorded(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/NBI_2016.txt", nbi_text(2016, [{}]).encode())
    data, lake = settings(tmp_path, address), Lake(tmp_path / "lake")
    assert list(detect_changes(data, lake)[0]) == [2016]
    assert remote_years(data) == {2016: [(address, "")]}
    record_in_nbi_files(data, lake, 2016)
    assert detect_changes(data, lake) == ({}, [])
