"""Finds survey years that are new in the source, or changed since nbi_files was updated, without downloading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge_assets.data.ingest.revisions import is_accepted, pending_revision
from bridge_assets.data.lake import Lake
from bridge_assets.data.reading.archives import open_survey_file
from bridge_assets.data.reading.file_names import check_no_conflicts
from bridge_assets.data.reading.formats import Format, detect_format
from bridge_assets.data.sources.acquire import remote_years
from bridge_assets.data.sources.local_copies import redact_url
from bridge_assets.data.sources.survey_files import source_files_from_provenance, survey_files, survey_source
from bridge_assets.errors import SourceError
from bridge_assets.nbi.delimited.records import read_header
from bridge_assets.settings import DataSettings
from bridge_assets.storage import json_digest


@dataclass(frozen=True, slots=True)
class SurveyYearChange:
    """A new or changed survey year: the names of its files, and a digest that changes with them."""

    survey_year: int
    file_names: tuple[str, ...]
    content_digest: str


def detect_changes(data: DataSettings, lake: Lake) -> tuple[dict[int, SurveyYearChange], list[str]]:
    """Compare the source with the provenance of nbi_files.

    Local files are compared by their bytes, so that a new modification date alone is not a change; remote files by
    ETag, checksum or date. A revised file that waits for acceptance is a change once it is accepted. For `fhwa`, only
    the latest survey year is checked, and only until it is in nbi_files. Unusable files (a web page, an unfinished
    download, two files for one year) are reported as problems, and do not block the other years.

    Returns
    -------
    changes : dict
        Survey year -> `SurveyYearChange`, for new and changed years.
    problems : list of str

    Raises
    ------
    SourceError
        If the source cannot be listed, or the server cannot be reached.
    """
    match data.source_kind:
        case "fhwa":
            return _fhwa_changes(data, lake), []
        case "remote":
            return _remote_changes(data, lake)
        case _:
            return _folder_changes(data, lake)


def _folder_changes(data: DataSettings, lake: Lake) -> tuple[dict[int, SurveyYearChange], list[str]]:
    changes: dict[int, SurveyYearChange] = {}
    problems: list[str] = []
    for year in survey_files(data.source_folder):
        try:
            source = survey_source(data.source_folder, year)
            if source.sha256 != _recorded_digest(lake, year) and (content := _content(data, lake, year, source.sha256)):
                for part in source.files:
                    _check_readable(part.path)
                changes[year] = SurveyYearChange(year, tuple(part.path.name for part in source.files), content)
        except SourceError as error:
            problems.append(str(error))
    return changes, problems


def _remote_changes(data: DataSettings, lake: Lake) -> tuple[dict[int, SurveyYearChange], list[str]]:
    changes: dict[int, SurveyYearChange] = {}
    problems: list[str] = []
    root = f"{data.source.rstrip('/')}/"
    for year, files in remote_years(data).items():
        names = tuple(address.removeprefix(root) for address, _ in files)
        try:
            check_no_conflicts(year, names, redact_url(data.source))
        except SourceError as error:
            problems.append(str(error))
            continue
        current_versions = sorted((redact_url(address), version) for address, version in files)
        recorded_versions = _recorded_versions(lake, year)
        # A single address on a web server has no version: it is reported once, until it is in nbi_files.
        if [address for address, _ in current_versions] != [address for address, _ in recorded_versions] or any(
            version and (address, version) not in recorded_versions for address, version in current_versions
        ):
            content, pending = json_digest(current_versions), pending_revision(lake, year)
            if pending and _versions(pending) == current_versions:
                content = _content(data, lake, year, pending["sha256"])
            if content:
                changes[year] = SurveyYearChange(year, names, content)
    return changes, problems


def _content(data: DataSettings, lake: Lake, survey_year: int, sha256: str) -> str:
    """What a changed year is known by: its digest, another one once a revised file is accepted; empty while it waits
    for that.
    """
    pending = pending_revision(lake, survey_year)
    if pending is None or pending["sha256"] != sha256:
        return sha256
    return json_digest([sha256, "accepted"]) if is_accepted(data, survey_year, pending) else ""


def _fhwa_changes(data: DataSettings, lake: Lake) -> dict[int, SurveyYearChange]:
    from bridge_assets.data.sources.fhwa import published_files
    from bridge_assets.data.sources.http_download import url_exists

    latest = max(data.fhwa.catalogue, default=0)
    if data.survey_years.last:
        latest = min(latest, data.survey_years.last)
    if latest not in data.fhwa.catalogue or lake.has_provenance("nbi_files", latest):
        return {}
    files = published_files(data.fhwa, latest)
    if not all(url_exists(file.address) for file in files):
        return {}
    names = tuple(file.name for file in files)
    return {latest: SurveyYearChange(latest, names, json_digest([file.address for file in files]))}


def _check_readable(path: Path) -> None:
    if detect_format(path) is Format.NBI:
        with open_survey_file(path) as source:
            read_header(source.file, path)


def _recorded_digest(lake: Lake, survey_year: int) -> str | None:
    return (
        lake.provenance("nbi_files", survey_year).get("sha256")
        if lake.has_provenance("nbi_files", survey_year)
        else None
    )


def _recorded_versions(lake: Lake, survey_year: int) -> Sequence[tuple[str, str]]:
    if not lake.has_provenance("nbi_files", survey_year):
        return []
    return _versions(lake.provenance("nbi_files", survey_year))


def _versions(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    return sorted((part.address, part.version) for part in source_files_from_provenance(provenance))
