"""Which survey years of the source are new, or changed since nbi_files saw them. Nothing is downloaded to find out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge_assets.data.lake import Lake
from bridge_assets.data.reading.archives import opened
from bridge_assets.data.reading.file_names import refuse_conflicts
from bridge_assets.data.reading.formats import Format, format_of
from bridge_assets.data.sources.acquire import remote_years
from bridge_assets.data.sources.local_copies import shown
from bridge_assets.data.sources.survey_files import noted_parts, survey_files, survey_source
from bridge_assets.errors import SourceError
from bridge_assets.nbi.delimited.records import read_header
from bridge_assets.settings import DataSettings
from bridge_assets.storage import digest_of


@dataclass(frozen=True, slots=True)
class Arrival:
    """A survey year with news: its files by name, and a digest that is another one when they change."""

    survey_year: int
    names: tuple[str, ...]
    content: str


def arrivals(data: DataSettings, lake: Lake) -> tuple[dict[int, Arrival], list[str]]:
    """Compare the source with what nbi_files saw.

    A local file is compared by its bytes, so that a copy with a new date is no news; a remote one by what its server
    says of it (ETag, checksum or date). Of `fhwa` only the latest survey year is asked for, as long as it was not made.
    What cannot be used (a web page, a download that has not ended, two files for one year) is a problem to report, not
    a reason to leave the others.

    Returns
    -------
    arrived : dict
        Survey year -> `Arrival`, for new and changed ones.
    problems : list of str

    Raises
    ------
    SourceError
        If the source cannot be listed, or its server not be asked.
    """
    match data.source_kind:
        case "fhwa":
            return _published(data, lake), []
        case "remote":
            return _listed(data, lake)
        case _:
            return _in_folder(data, lake)


def _in_folder(data: DataSettings, lake: Lake) -> tuple[dict[int, Arrival], list[str]]:
    arrived: dict[int, Arrival] = {}
    problems: list[str] = []
    for year in survey_files(data.source_folder):
        try:
            source = survey_source(data.source_folder, year)
            if source.sha256 != _seen(lake, year):
                for part in source.parts:
                    _refuse_unreadable(part.path)
                arrived[year] = Arrival(year, tuple(part.path.name for part in source.parts), source.sha256)
        except SourceError as error:
            problems.append(str(error))
    return arrived, problems


def _listed(data: DataSettings, lake: Lake) -> tuple[dict[int, Arrival], list[str]]:
    arrived: dict[int, Arrival] = {}
    problems: list[str] = []
    root = f"{data.source.rstrip('/')}/"
    for year, files in remote_years(data).items():
        names = tuple(address.removeprefix(root) for address, _ in files)
        try:
            refuse_conflicts(year, names, shown(data.source))
        except SourceError as error:
            problems.append(str(error))
            continue
        now = sorted((shown(address), version) for address, version in files)
        seen = _seen_versions(lake, year)
        # A single address on a web server tells no version: it is news once, until nbi_files has it.
        if [address for address, _ in now] != [address for address, _ in seen] or any(
            version and (address, version) not in seen for address, version in now
        ):
            arrived[year] = Arrival(year, names, digest_of(now))
    return arrived, problems


def _published(data: DataSettings, lake: Lake) -> dict[int, Arrival]:
    from bridge_assets.data.sources.fhwa import published_files
    from bridge_assets.data.sources.http_download import published

    latest = max(data.fhwa.catalogue, default=0)
    if data.survey_years.last:
        latest = min(latest, data.survey_years.last)
    if latest not in data.fhwa.catalogue or lake.has_note("nbi_files", latest):
        return {}
    files = published_files(data.fhwa, latest)
    if not all(published(file.address) for file in files):
        return {}
    names = tuple(file.name for file in files)
    return {latest: Arrival(latest, names, digest_of([file.address for file in files]))}


def _refuse_unreadable(path: Path) -> None:
    if format_of(path) is Format.NBI:
        with opened(path) as source:
            read_header(source.file, path)


def _seen(lake: Lake, survey_year: int) -> str | None:
    return lake.note("nbi_files", survey_year).get("sha256") if lake.has_note("nbi_files", survey_year) else None


def _seen_versions(lake: Lake, survey_year: int) -> Sequence[tuple[str, str]]:
    if not lake.has_note("nbi_files", survey_year):
        return []
    return sorted((part.address, part.version) for part in noted_parts(lake.note("nbi_files", survey_year)))
