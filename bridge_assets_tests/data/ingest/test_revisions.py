"""A revised file replaces the records of a survey year only after its digest was accepted, whatever the source."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest
from support.nbi_files import nbi_text, write_nbi

from bridge_assets.data.ingest.changes import detect_changes
from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.ingest.record_changes import compare_records
from bridge_assets.data.ingest.revisions import Registration, files_to_ingest, pending_messages, register
from bridge_assets.data.lake import Lake
from bridge_assets.data.sources.acquire import acquire_survey_year
from bridge_assets.errors import LayoutError
from bridge_assets.settings import DataSettings
from bridge_assets.storage import digest

YEAR = 2020


def bridges(*ratings: str, first: int = 1) -> list[dict[str, str]]:
    return [
        {"STRUCTURE_NUMBER_008": str(number), "SUPERSTRUCTURE_COND_059": rating}
        for number, rating in enumerate(ratings, first)
    ]


def settings(tmp_path: Path, *accepted: str, source: str = "") -> DataSettings:
    return DataSettings(
        source=source or str(tmp_path / "nbi"),
        home=tmp_path,
        fhwa={"accept_revised": accepted},  # type: ignore[arg-type]
    )


def load(data: DataSettings, lake: Lake) -> Registration:
    """What nbi_files and raw_bridges do with a survey year."""
    found = register(lake, data, acquire_survey_year(data, YEAR))
    lake.write_provenance("nbi_files", YEAR, found.provenance)
    if (parts := files_to_ingest(lake, YEAR)) is not None:
        records, rejected = (lake.year_path(name, YEAR) for name in ("raw_bridges", "rejected_records"))
        report = ingest(parts, YEAR, records, rejected)
        lake.write_provenance("raw_bridges", YEAR, {**asdict(report), "source_sha256": found.provenance["sha256"]})
    return found


def ratings(lake: Lake) -> list[str]:
    return lake.read_year("raw_bridges", YEAR).sort("structure_key")["SUPERSTRUCTURE_COND_059"].to_list()


def test_a_revised_file_is_described_and_waits_for_acceptance(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    path = write_nbi(tmp_path / "nbi", YEAR, bridges("9", "7", "6"))
    first = digest(path)[:12]
    assert load(settings(tmp_path), lake).message == ""

    write_nbi(tmp_path / "nbi", YEAR, [*bridges("3", "7"), *bridges("5", "5", first=8)])
    second = digest(path)[:12]
    found = load(settings(tmp_path), lake)
    for _ in range(2):  # said again by every run
        found = load(settings(tmp_path), lake)
        assert found.message == (
            f"survey year {YEAR}: NBI_{YEAR}.txt has other bytes (SHA-256 {second}, before {first}); 1 of 3 records "
            "changed (01-1: SUPERSTRUCTURE_COND_059 9 -> 3), 2 were added and 1 removed. The earlier records stay in "
            f"use until the revision is accepted: to use it, add {second} to fhwa.accept_revised in "
            "configs/data_config.yaml"
        )
        assert found.pending
        assert ratings(lake) == ["9", "7", "6"]
    assert pending_messages(lake, [YEAR]) == [found.message]
    assert lake.provenance("nbi_files", YEAR)["sha256"][:12] == first
    assert not list((tmp_path / "lake").rglob(".*.tmp"))

    accepted = load(settings(tmp_path, second), lake)
    assert "was accepted and replaces the earlier records" in accepted.message
    assert (accepted.pending, accepted.source.files[0].revised, ratings(lake)) == (False, True, ["3", "7", "5", "5"])
    assert load(settings(tmp_path, second), lake).message == ""
    assert pending_messages(lake, [YEAR]) == []

    write_nbi(tmp_path / "nbi", YEAR, bridges("9", "7", "6"))  # the withdrawn file comes back
    assert f"add {first} to" in load(settings(tmp_path, second), lake).message


def test_the_same_records_in_another_form_are_taken_quietly(tmp_path: Path) -> None:
    lake, data = Lake(tmp_path / "lake"), settings(tmp_path)
    folder = tmp_path / "nbi"
    path = write_nbi(folder, YEAR, bridges("9", "7", "6"))
    load(data, lake)
    path.touch()
    assert load(data, lake).message == ""
    path.rename(folder / f"{YEAR}HwyBridgesDelimitedAllStates.txt")
    assert load(data, lake).message == ""
    (folder / f"{YEAR}HwyBridgesDelimitedAllStates.txt").unlink()
    path.write_text(nbi_text(YEAR, bridges("9", "7", "6"), newline="\n"), newline="")
    found = load(data, lake)
    assert found.message.endswith("; the same records")
    assert (found.pending, lake.provenance("raw_bridges", YEAR)["source_sha256"]) == (False, digest(path))
    path.write_text(nbi_text(YEAR, bridges("9", "7", "6")[::-1]), newline="")
    assert load(data, lake).message.endswith("; the same records")


def test_state_files_are_accepted_one_by_one(tmp_path: Path) -> None:
    lake, folder = Lake(tmp_path / "lake"), tmp_path / "nbi"
    alabama = write_nbi(folder, YEAR, bridges("9"), name="AL20.txt")
    load(settings(tmp_path), lake)
    alaska = write_nbi(folder, YEAR, [{"STATE_CODE_001": "02"}], name="AK20.txt")
    added = load(settings(tmp_path), lake)
    assert "AK20.txt is new in the source" in added.message
    assert (added.pending, ratings(lake)) == (False, ["9", "7"])

    write_nbi(folder, YEAR, bridges("3"), name="AL20.txt")
    alaska.unlink()
    found = load(settings(tmp_path), lake)
    assert "AK20.txt is no longer there" in found.message
    assert "1 of 2 records changed" in found.message
    assert found.message.endswith(f"add {digest(alabama)[:12]} to fhwa.accept_revised in configs/data_config.yaml")
    load(settings(tmp_path, digest(alabama)[:12]), lake)
    assert ratings(lake) == ["3"]


def test_a_state_that_is_taken_away_waits_for_the_digest_of_the_year(tmp_path: Path) -> None:
    lake, folder = Lake(tmp_path / "lake"), tmp_path / "nbi"
    for state, code in (("AL", "01"), ("AK", "02")):
        write_nbi(folder, YEAR, [{"STATE_CODE_001": code}], name=f"{state}20.txt")
    load(settings(tmp_path), lake)
    (folder / "AK20.txt").unlink()
    found = load(settings(tmp_path), lake)
    assert (found.pending, len(ratings(lake))) == (True, 2)
    load(settings(tmp_path, digest(folder / "AL20.txt")[:12]), lake)
    assert len(ratings(lake)) == 1


def test_an_unreadable_revision_leaves_the_records(tmp_path: Path) -> None:
    lake, data = Lake(tmp_path / "lake"), settings(tmp_path)
    path = write_nbi(tmp_path / "nbi", YEAR, bridges("9"))
    load(data, lake)
    path.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(LayoutError):
        load(data, lake)
    assert (ratings(lake), list((tmp_path / "lake").rglob(".*.tmp"))) == (["9"], [])


def test_the_sensor_asks_for_a_run_once_a_revision_is_accepted(tmp_path: Path) -> None:
    lake, path = Lake(tmp_path / "lake"), write_nbi(tmp_path / "nbi", YEAR, bridges("9"))
    load(settings(tmp_path), lake)
    write_nbi(tmp_path / "nbi", YEAR, bridges("3"))
    seen = detect_changes(settings(tmp_path), lake)[0][YEAR].content_digest
    load(settings(tmp_path), lake)
    assert detect_changes(settings(tmp_path), lake) == ({}, [])
    accepted = detect_changes(settings(tmp_path, digest(path)[:12]), lake)[0][YEAR].content_digest
    assert accepted != seen  # the run key: a run for the same content would not be started again


def test_a_revised_object_in_a_bucket_waits_too(s3_endpoint: str, tmp_path: Path) -> None:
    import s3fs

    bucket, lake = s3fs.S3FileSystem(), Lake(tmp_path / "lake")
    bucket.mkdir("revising")
    bucket.pipe("revising/nbi/NBI_2020.txt", nbi_text(YEAR, bridges("9")).encode())
    data = settings(tmp_path, source="s3://revising/nbi")
    load(data, lake)
    bucket.pipe("revising/nbi/NBI_2020.txt", nbi_text(YEAR, bridges("3")).encode())
    assert list(detect_changes(data, lake)[0]) == [YEAR]
    found = load(data, lake)
    assert (found.pending, ratings(lake)) == (True, ["9"])
    assert detect_changes(data, lake) == ({}, [])
    accepting = settings(tmp_path, acquire_survey_year(data, YEAR).sha256[:12], source=data.source)
    assert list(detect_changes(accepting, lake)[0]) == [YEAR]
    load(accepting, lake)
    assert ratings(lake) == ["3"]
    assert detect_changes(accepting, lake) == ({}, [])


def test_one_changed_rating_of_a_real_state_is_found(real_data: Path, tmp_path: Path) -> None:
    lake, folder = Lake(tmp_path / "lake"), tmp_path / "nbi"
    folder.mkdir()
    path = folder / "AK20.txt"
    shutil.copy(real_data / "nbi" / "AK19.txt", path)
    load(settings(tmp_path), lake)
    header, *lines = path.read_bytes().decode("latin-1").splitlines(keepends=True)
    column = header.split(",").index("SUPERSTRUCTURE_COND_059")
    place, cells = next((place, line.split(",")) for place, line in enumerate(lines) if line.split(",")[column] == "9")
    cells[column] = "3"
    lines[place] = ",".join(cells)
    path.write_text("".join([header, *lines]), encoding="latin-1", newline="")
    message = load(settings(tmp_path), lake).message
    assert "1 of 1,595 records changed (02-" in message
    assert ": SUPERSTRUCTURE_COND_059 9 -> 3), 0 were added and 0 removed" in message


def test_duplicated_records_are_counted_one_by_one(tmp_path: Path) -> None:
    twice = bridges("7") * 2
    old, new = (ingested(tmp_path / f"{name}.parquet", rows) for name, rows in (("old", twice), ("new", bridges("7"))))
    assert asdict(compare_records(old, new)) | {"examples": ()} == {
        "before": 2, "added": 0, "removed": 1, "changed": 0, "examples": (),
    }  # fmt: skip
    assert compare_records(new, old).added == 1
    assert not compare_records(old, old).any


def ingested(records: Path, rows: list[dict[str, str]]) -> Path:
    source = write_nbi(records.parent / records.stem, YEAR, rows)
    ingest([source], YEAR, records, records.with_suffix(".rejected"))
    assert pl.read_parquet(records).height == len(rows)
    return records
