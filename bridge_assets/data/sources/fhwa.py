"""Downloads the files that FHWA publishes, and checks them against the catalogue in configs/data_config.yaml.

The catalogue lists the survey years and the expected digests. A download with another digest is a revised file: it is
stored under a separate name and not used until a person accepts it, since all earlier results came from the old file.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from bridge_assets.data.reading.file_names import revised_file_name
from bridge_assets.data.sources.http_download import download
from bridge_assets.data.sources.lateness import PUBLICATION_DEADLINE
from bridge_assets.data.sources.local_copies import DownloadedFile, ProgressCallback, acceptance_remedy, redact_url
from bridge_assets.data.sources.survey_files import SourceFile, SurveySource
from bridge_assets.errors import SourceError
from bridge_assets.settings import FhwaSettings, NationalFile
from bridge_assets.storage import digest


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file that FHWA publishes: its address, its local name, and its expected digests if known."""

    address: str
    name: str
    expected: NationalFile


def publication_deadline(survey_year: int) -> date:
    """The date by which FHWA publishes a survey year."""
    return date(survey_year + 1, *PUBLICATION_DEADLINE)


def published_files(fhwa: FhwaSettings, survey_year: int) -> list[PublishedFile]:
    """The files of a survey year: one national file, or one file for each state in the settings.

    Raises
    ------
    SourceError
        If the year is not in the catalogue, or has no address.
    """
    if survey_year not in fhwa.catalogue:
        raise SourceError(
            f"survey year {survey_year} is not in the catalogue",
            where="fhwa.catalogue in configs/data_config.yaml",
            why="It lists the published survey years",
            do=f"add the line `{survey_year}: {{}}` there if FHWA has published this year as a delimited file",
        )
    if fhwa.states:
        addresses = [_format_address(fhwa.state_address, survey_year, state) for state in fhwa.states]
        return [PublishedFile(address, _file_name(address), NationalFile()) for address in addresses]
    eligible_years = [year for year in fhwa.national_address if year <= survey_year]
    if not eligible_years:
        raise SourceError(
            f"no address for survey year {survey_year}",
            where="fhwa.national_address in configs/data_config.yaml",
            why=f"The first year with an address is {min(fhwa.national_address, default='missing')}",
            do="add the address of this year there",
        )
    address = _format_address(fhwa.national_address[max(eligible_years)], survey_year)
    return [PublishedFile(address, _file_name(address), fhwa.catalogue[survey_year])]


def fetch_from_fhwa(fhwa: FhwaSettings, survey_year: int, downloads: Path, progress: ProgressCallback) -> SurveySource:
    """Download the files of a survey year, unless the local copies are still current.

    If the server cannot be reached, or has a revised file that nobody has accepted, the existing copy is used with a
    warning.

    Parameters
    ----------
    fhwa : FhwaSettings
    survey_year : int
    downloads : Path
        Folder of the copies, with a folder for each year.
    progress : callable
        Called with each progress message and warning.

    Raises
    ------
    SourceError
        If a file cannot be downloaded, or only a revised one that is not accepted.
    """
    files, warnings = [], []
    for published_file in published_files(fhwa, survey_year):
        part, warning = _fetch_file(
            published_file, fhwa, survey_year, downloads / str(survey_year) / published_file.name, progress
        )
        files.append(part)
        warnings += [warning] if warning else []
    in_order = tuple(sorted(files, key=lambda part: part.path.name))
    rows = None if fhwa.states else fhwa.catalogue[survey_year].rows
    return SurveySource(survey_year, in_order, tuple(warnings), rows)


def _fetch_file(
    published_file: PublishedFile, fhwa: FhwaSettings, year: int, target: Path, progress: ProgressCallback
) -> tuple[SourceFile, str]:
    try:
        copy = download(
            published_file.address,
            target,
            sha256=published_file.expected.zip,
            progress=progress,
            not_found_hint=(
                f"check whether FHWA has published survey year {year} yet (due by "
                f"{publication_deadline(year):%d %B %Y}), and correct the address in configs/data_config.yaml if the "
                "file has moved"
            ),
        )
    except SourceError as error:
        usable = next(_usable_copies(published_file, fhwa, target), None)
        if usable is None:
            raise
        return usable, f"the local copy is used; it is not known whether FHWA has revised the file: {error}"
    if not copy.revised or fhwa.accepts(copy.sha256):
        return _to_source_file(copy, revised=copy.revised), ""
    if _has_expected_member(copy.path, published_file.expected):
        return _to_source_file(
            copy, revised=False
        ), f"{copy.path.name}: the archive was repacked; the text inside is unchanged"
    usable = next(_usable_copies(published_file, fhwa, target), None)
    remedy = acceptance_remedy(copy.sha256)
    if usable is None:
        raise SourceError(
            f"FHWA has revised the file of survey year {year}",
            where=copy.address,
            why=f"Its SHA-256 is {copy.sha256}, the catalogue has {published_file.expected.zip}; it is kept as "
            f"{copy.path}",
            do=remedy[0].upper() + remedy[1:],
        )
    return usable, (
        f"FHWA has revised {target.name}; the previous copy is used, the new one is kept as {copy.path}: {remedy}"
    )


def _usable_copies(published_file: PublishedFile, fhwa: FhwaSettings, target: Path) -> Iterator[SourceFile]:
    """Local copies that may be used, best first: accepted revised files, then the file under the plain name."""
    expected = published_file.expected.zip
    for accepted in [*reversed(fhwa.accept_revised), *([expected] if expected else [])]:
        path = target.with_name(revised_file_name(target.name, accepted))
        if path.is_file() and (sha256 := digest(path)).startswith(accepted):
            yield SourceFile(
                path, sha256, path.stat().st_size, redact_url(published_file.address), revised=sha256 != expected
            )
    if target.is_file() and (sha256 := digest(target)) and expected in (None, sha256):
        yield SourceFile(target, sha256, target.stat().st_size, redact_url(published_file.address))


def _has_expected_member(path: Path, expected: NationalFile) -> bool:
    """Whether an archive with a different digest contains the expected text."""
    if expected.member is None or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                if hashlib.file_digest(member, "sha256").hexdigest() == expected.member:  # type: ignore[arg-type]
                    return True
    return False


def _to_source_file(copy: DownloadedFile, *, revised: bool) -> SourceFile:
    return SourceFile(copy.path, copy.sha256, copy.bytes, copy.address, copy.etag, copy.last_modified, revised)


def _format_address(address: str, survey_year: int, state: str = "") -> str:
    return address.format(year=survey_year, yy=f"{survey_year % 100:02}", state=state)


def _file_name(address: str) -> str:
    return address.rstrip("/").rpartition("/")[2].partition("?")[0]
