"""FHWA's files are checked against the catalogue; a revised file is kept but not used until a person accepts it."""

from __future__ import annotations

import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from support.download_server import DownloadServer
from support.nbi_files import nbi_text

from bridge_assets.data.sources.acquire import acquire_survey_year, known_years
from bridge_assets.data.sources.fhwa import published_files
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings, FhwaSettings

SHIPPED = Path(__file__).parents[3] / "configs"


def archive(text: str, member: str = "fluna_992016.txt", **how) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", **how) as zipped:
        zipped.writestr(zipfile.ZipInfo(member), text)
    return packed.getvalue()


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


TEXT, OTHER_TEXT = nbi_text(2016, [{}]), nbi_text(2016, [{}, {"STRUCTURE_NUMBER_008": "2"}])
ZIP, OTHER_ZIP = archive(TEXT), archive(OTHER_TEXT)


def settings(web: DownloadServer, home: Path, *, catalogue: dict | None = None, **fhwa) -> DataSettings:
    """FHWA on loopback, with the digests of the file of 2016 in the catalogue."""
    national = {1992: web.address + "/{year}hwybronlyonefile.zip", 2018: web.address + "/{year}hwybronefiledel.zip"}
    known = {2016: {"rows": 1, "columns": 135, "zip": digest(ZIP), "member": digest(TEXT.encode())}}
    state = web.address + "/{year}/{state}{yy}.txt"
    values = {"national_address": national, "state_address": state, "catalogue": catalogue or known, **fhwa}
    return DataSettings(source="fhwa", home=home, fhwa=FhwaSettings.model_validate(values))


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> FhwaSettings:
    monkeypatch.setenv("BRIDGE_ASSETS_CONFIGS", str(SHIPPED))
    return DataSettings.load().fhwa


def test_the_shipped_catalogue_agrees_with_the_national_files(shipped: FhwaSettings, real_data: Path) -> None:
    facts = json.loads((real_data / "nbi" / "catalog.json").read_text())["vintages"]
    assert sorted(shipped.catalogue) == sorted(map(int, facts)) == list(range(1992, 2026))
    for year, known in shipped.catalogue.items():
        fact = facts[str(year)]
        assert (known.rows, known.columns) == (fact["rowsInSource"], fact["sourceColumns"])
        assert (known.zip, known.member) == (fact["source"]["zipSha256"], fact["source"]["fileSha256"])
        [file] = published_files(shipped, year)
        assert (file.address, file.name) == (fact["source"]["url"], fact["source"]["zip"])


def test_every_state_file_has_its_own_address(shipped: FhwaSettings) -> None:
    files = published_files(shipped.model_copy(update={"states": ("AL", "MA")}), 2005)
    assert [file.address for file in files] == [
        "https://www.fhwa.dot.gov/bridge/nbi/2005/delimited/AL05.txt",
        "https://www.fhwa.dot.gov/bridge/nbi/2005/delimited/MA05.txt",
    ]
    assert files[0].expected.zip is None


def test_the_error_for_a_year_outside_the_catalogue_says_how_to_add_it(shipped: FhwaSettings) -> None:
    with pytest.raises(SourceError, match=r"2026 is not in the catalogue.*add the line `2026: \{\}`"):
        published_files(shipped, 2026)
    with pytest.raises(SourceError, match="no address for survey year 2016"):
        published_files(shipped.model_copy(update={"national_address": {2018: "https://h"}}), 2016)


def test_the_expected_file_is_the_source(web_server: DownloadServer, tmp_path: Path) -> None:
    data = settings(web_server, tmp_path)
    address = web_server.serve("/2016hwybronlyonefile.zip", ZIP)
    assert known_years(data) == [2016]
    source = acquire_survey_year(data, 2016)
    [part] = source.files
    assert (part.sha256, part.address, part.revised, source.warnings) == (digest(ZIP), address, False, ())
    assert (source.expected_rows, source.provenance()["expected_rows"]) == (1, 1)
    assert part.path == tmp_path / "downloads" / "fhwa" / "2016" / "2016hwybronlyonefile.zip"
    assert acquire_survey_year(data, 2016) == source
    assert web_server.bytes_sent == len(ZIP)


def test_the_error_for_an_unpublished_year_says_when_it_is_due(web_server: DownloadServer, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"does not exist at this address.*2016 yet \(due by 15 June 2017\)"):
        acquire_survey_year(settings(web_server, tmp_path), 2016)


def test_a_revised_file_is_not_used_until_it_is_accepted(web_server: DownloadServer, tmp_path: Path) -> None:
    web_server.serve("/2016hwybronlyonefile.zip", OTHER_ZIP)
    mark = digest(OTHER_ZIP)[:12]
    with pytest.raises(
        SourceError, match=rf"FHWA has revised.*kept as .*{mark}\.zip.*add {mark} to fhwa\.accept_revised"
    ):
        acquire_survey_year(settings(web_server, tmp_path), 2016)
    source = acquire_survey_year(settings(web_server, tmp_path, accept_revised=(mark,)), 2016)
    [part] = source.files
    assert (part.sha256, part.revised, part.path.name) == (digest(OTHER_ZIP), True, f"2016hwybronlyonefile.{mark}.zip")
    assert web_server.bytes_sent == len(OTHER_ZIP)
    changed = settings(web_server, tmp_path, catalogue={2016: {"zip": digest(OTHER_ZIP)}})
    assert not acquire_survey_year(changed, 2016).files[0].revised


def test_the_previous_copy_stays_in_use(web_server: DownloadServer, tmp_path: Path) -> None:
    data = settings(web_server, tmp_path)
    web_server.serve("/2016hwybronlyonefile.zip", ZIP)
    before = acquire_survey_year(data, 2016)
    web_server.files["/2016hwybronlyonefile.zip"].set_body(OTHER_ZIP)
    now = acquire_survey_year(data, 2016)
    assert (now.sha256, now.files[0].path) == (before.sha256, before.files[0].path)
    assert "FHWA has revised" in now.warnings[0]
    accepted = settings(web_server, tmp_path, accept_revised=(digest(OTHER_ZIP)[:12],))
    assert acquire_survey_year(accepted, 2016).sha256 == digest(OTHER_ZIP)
    web_server.files["/2016hwybronlyonefile.zip"].set_body(archive(TEXT + OTHER_TEXT))
    third = acquire_survey_year(accepted, 2016)
    assert third.sha256 == digest(OTHER_ZIP)
    assert "FHWA has revised" in third.warnings[0]


def test_a_repacked_archive_is_the_same_file(web_server: DownloadServer, tmp_path: Path) -> None:
    web_server.serve("/2016hwybronlyonefile.zip", archive(TEXT, "other.txt", compression=zipfile.ZIP_DEFLATED))
    source = acquire_survey_year(settings(web_server, tmp_path), 2016)
    assert not source.files[0].revised
    assert "repacked" in source.warnings[0]


def test_an_existing_copy_is_used_if_the_server_cannot_be_reached(web_server: DownloadServer, tmp_path: Path) -> None:
    data = settings(web_server, tmp_path)
    web_server.serve("/2016hwybronlyonefile.zip", ZIP)
    before = acquire_survey_year(data, 2016)
    del web_server.files["/2016hwybronlyonefile.zip"]
    now = acquire_survey_year(data, 2016)
    assert now.sha256 == before.sha256
    assert "it is not known whether FHWA has revised the file" in now.warnings[0]


def test_a_revised_state_file_is_kept_next_to_the_old_one(web_server: DownloadServer, tmp_path: Path) -> None:
    data = settings(web_server, tmp_path, states=("MA", "AL"))
    for state in ("AL", "MA"):
        web_server.serve(f"/2016/{state}16.txt", nbi_text(2016, [{"LOCATION_009": state}]).encode())
    source = acquire_survey_year(data, 2016)
    assert [part.path.name for part in source.files] == ["AL16.txt", "MA16.txt"]
    web_server.files["/2016/AL16.txt"].set_body(OTHER_TEXT.encode())
    unaccepted = acquire_survey_year(data, 2016)
    assert unaccepted.files[0].sha256 == source.files[0].sha256
    assert "FHWA has revised AL16.txt" in unaccepted.warnings[0]
    mark = digest(OTHER_TEXT.encode())[:12]
    accepted = acquire_survey_year(settings(web_server, tmp_path, states=("MA", "AL"), accept_revised=(mark,)), 2016)
    assert accepted.files[0].path.name == f"AL16.{mark}.txt"
    assert accepted.files[0].revised


def test_a_missing_state_is_named(web_server: DownloadServer, tmp_path: Path) -> None:
    web_server.serve("/2016/AL16.txt", TEXT.encode())
    with pytest.raises(SourceError, match=r"MA16\.txt: the file does not exist at this address"):
        acquire_survey_year(settings(web_server, tmp_path, states=("AL", "MA")), 2016)
