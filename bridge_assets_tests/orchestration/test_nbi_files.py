"""A survey year is found, copied if it is remote, pinned by its digest, and shown with its source."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.download_server import DownloadServer
from support.nbi_files import nbi_text, write_nbi
from support.small_platform import defs, error_messages

from bridge_assets.data.lake import Lake
from bridge_assets.orchestration.assets.inventory import load_records, nbi_files
from bridge_assets.orchestration.checks.inventory import rows_reconcile
from bridge_assets.orchestration.checks.sources import revised_files_accepted
from bridge_assets.orchestration.partitions import survey_year_partitions
from bridge_assets.orchestration.resources import Platform
from bridge_assets.orchestration.sensors import FHWA_POLL_SECONDS, new_survey_file
from bridge_assets.settings import DataSettings
from bridge_assets.storage import digest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def fhwa(web_server: DownloadServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> DownloadServer:
    """FHWA on loopback."""
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", "fhwa")
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__FHWA__STATE_ADDRESS", web_server.address + "/{year}/{state}{yy}.txt")
    national = {"1992": web_server.address + "/{year}old.zip", "2018": web_server.address + "/{year}.zip"}
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__FHWA__NATIONAL_ADDRESS", json.dumps(national))
    return web_server


def materialized(year: int, *assets: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*(assets or (nbi_files,))],
        partition_key=str(year),
        resources={"platform": Platform()},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = result.asset_materializations_for_node("nbi_files")
    return {key: value.value for key, value in event.metadata.items()}


def tick(cursor: str | None = None) -> tuple[Any, str | None]:
    with dg.build_sensor_context(
        instance=dg.DagsterInstance.ephemeral(), resources={"platform": Platform()}, cursor=cursor, definitions=defs
    ) as context:
        return new_survey_file(context), context.cursor


def test_state_files_of_fhwa_become_records(fhwa: DownloadServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__FHWA__STATES", "AL,MA")
    for state, code in (("AL", "01"), ("MA", "25")):
        rows = [{"STATE_CODE_001": code, "STRUCTURE_NUMBER_008": str(number)} for number in range(3)]
        fhwa.serve(f"/2016/{state}16.txt", nbi_text(2016, rows).encode())
    result = materialized(2016, nbi_files, load_records)
    assert result.success, error_messages(result)
    lake = Lake(home / "lake")
    assert lake.read_year("raw_bridges", 2016)["STATE_CODE_001"].to_list() == ["01"] * 3 + ["25"] * 3
    assert lake.provenance("raw_bridges", 2016)["source_sha256"] == lake.provenance("nbi_files", 2016)["sha256"]
    shown_metadata = shown(result)
    assert shown_metadata["files"] == 2
    assert f"[{fhwa.address}/2016/AL16.txt".replace("_", "&#95;") in shown_metadata["parts"].replace("&#95;", "_")
    assert "expected_rows" not in shown_metadata

    fhwa.files["/2016/AL16.txt"].set_body(b"another")
    again = materialized(2016, nbi_files, load_records)
    assert again.success
    assert "FHWA has revised AL16.txt" in shown(again)["warnings"]


def test_a_national_file_is_shown_with_its_address_and_expected_rows(fhwa: DownloadServer, home: Path) -> None:
    fhwa.serve("/2016old.zip", b"PK\x05\x06" + bytes(18), last_modified="Mon, 15 Jun 2026 12:00:00 GMT")
    refused = materialized(2016)
    assert not refused.success
    assert "FHWA has revised the file of survey year 2016" in error_messages(refused)
    mark = error_messages(refused).partition("SHA-256 is ")[2][:12]
    with pytest.MonkeyPatch.context() as accepted:
        accepted.setenv("BRIDGE_ASSETS_DATA__FHWA__ACCEPT_REVISED", mark)
        shown_metadata = shown(materialized(2016))
    assert shown_metadata["address"] == f"{fhwa.address}/2016old.zip"
    assert (shown_metadata["revised"], shown_metadata["expected_rows"], shown_metadata["published"][:16]) == (
        True,
        614387,
        "Mon, 15 Jun 2026",
    )
    assert shown_metadata["sha256"].startswith(mark)


def test_a_file_that_changed_since_it_was_read_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(home / "files"))
    for state in ("AK", "AL"):
        write_nbi(home / "files", 2016, [{}], name=f"{state}16.txt")
    assert materialized(2016).success
    write_nbi(home / "files", 2016, [{}, {}], name="AL16.txt")
    assert "the file changed" in error_messages(materialized(2016, load_records))


def test_a_revised_local_file_is_not_used_until_it_is_accepted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> tuple[dg.ExecuteInProcessResult, list[str]]:
        result = materialized(2016, nbi_files, load_records, revised_files_accepted, rows_reconcile)
        assert result.success, error_messages(result)
        return result, Lake(home / "lake").read_year("raw_bridges", 2016)["DECK_COND_058"].to_list()

    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(home / "files"))
    path = write_nbi(home / "files", 2016, [{"DECK_COND_058": "9"}])
    assert all(check.passed for check in load()[0].get_asset_check_evaluations())
    write_nbi(home / "files", 2016, [{"DECK_COND_058": "3"}, {"STRUCTURE_NUMBER_008": "2"}])
    mark = digest(path)[:12]
    result, kept = load()
    waits, reconciles = sorted(result.get_asset_check_evaluations(), key=lambda check: check.passed)
    assert (waits.passed, waits.severity, reconciles.passed) == (False, dg.AssetCheckSeverity.WARN, True)
    assert "1 of 1 records changed (01-1234: DECK_COND_058 9 -> 3), 1 were added" in (waits.description or "")
    assert f"to use it, add {mark} to fhwa.accept_revised" in shown(result)["warnings"]
    assert kept == ["9"]
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__FHWA__ACCEPT_REVISED", mark)
    result, replaced = load()
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert (replaced, shown(result)["revised"]) == (["3", "6"], True)


def test_a_bucket_can_be_the_source(s3_endpoint: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    bucket = s3fs.S3FileSystem()
    bucket.mkdir("source")
    bucket.pipe("source/nbi/NBI_2016.txt", nbi_text(2016, [{}]).encode())
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", "s3://source/nbi")
    requested, _ = tick()
    assert requested.run_requests[0].partition_key == "2016"
    result = materialized(2016, nbi_files, load_records)
    assert result.success, error_messages(result)
    assert shown(result)["address"] == "s3://source/nbi/NBI_2016.txt"
    assert isinstance(tick()[0], dg.SkipReason)


def test_fhwa_is_polled_once_a_day_for_the_latest_year(fhwa: DownloadServer, home: Path) -> None:
    skipped, cursor_after = tick()
    assert isinstance(skipped, dg.SkipReason)
    assert [request[:2] for request in fhwa.requests] == [("HEAD", "/2025.zip")]
    fhwa.serve("/2025.zip", b"archive")
    skipped, _ = tick(cursor_after)
    assert "Polled FHWA at" in (skipped.skip_message or "")
    assert len(fhwa.requests) == 1
    requested, cursor = tick(str(time.time() - FHWA_POLL_SECONDS - 1))
    assert requested.run_requests[0].partition_key == "2025"
    assert cursor
    assert float(cursor) > float(cursor_after or 0)


@pytest.mark.parametrize(
    ("source", "years", "first", "last"),
    [
        ("fhwa", {}, "1992", "2025"),
        ("fhwa", {"first": 2010, "last": 2019}, "2010", "2019"),
        ("fhwa", {"last": 2030}, "1992", "2025"),
        ("s3://bucket/nbi", {}, "1992", "2025"),
        ("s3://bucket/nbi", {"first": 2012, "last": 2026}, "2012", "2026"),
        ("https://host/NBI_2016.zip", {}, "2016", "2016"),
    ],
)
def test_partitions_of_a_remote_source_need_no_network(
    source: str, years: dict[str, int], first: str, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", source)
    for name, year in years.items():
        monkeypatch.setenv(f"BRIDGE_ASSETS_DATA__SURVEY_YEARS__{name.upper()}", str(year))
    keys = survey_year_partitions(DataSettings.load()).get_partition_keys()
    assert (keys[0], keys[-1]) == (first, last)


def test_a_year_that_the_catalogue_leaves_out_has_no_partition() -> None:
    data = DataSettings.model_validate({"source": "fhwa", "fhwa": {"catalogue": {2015: {}, 2017: {}}}})
    assert survey_year_partitions(data).get_partition_keys() == ["2015", "2017"]


def test_survey_files_are_versioned_if_dvc_has_a_remote(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_nbi(tmp_path / "nbi", 2016, [{}])
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(tmp_path / "nbi"))
    monkeypatch.setenv("BRIDGE_ASSETS_DVC__REMOTE", str(tmp_path / "remote"))
    monkeypatch.setenv("BRIDGE_ASSETS_DVC__REPOSITORY", str(tmp_path))
    before = path.read_bytes()
    result = materialized(2016)
    assert result.success, error_messages(result)
    assert list(shown(result)["dvc_md5"]) == [str(tmp_path / "nbi")]
    assert (tmp_path / "nbi.dvc").is_file()
    assert list((tmp_path / "remote").rglob("*"))
    assert path.read_bytes() == before
