"""Gets one survey year from the `source` in data_config.yaml: sample, folder, bucket, address or FHWA.

Only the requested year is downloaded, and nothing if the source is a local folder.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from bridge_assets.data.reading.file_names import check_no_conflicts, group_by_survey_year, survey_year_of
from bridge_assets.data.sources.left_alone import remote_files_left_alone
from bridge_assets.data.sources.local_copies import DownloadedFile, ProgressCallback, redact_url
from bridge_assets.data.sources.survey_files import (
    SourceFile,
    SurveySource,
    left_alone,
    no_survey_file_error,
    survey_files,
    survey_source,
)
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings

_log = logging.getLogger(__name__)


def acquire_survey_year(
    settings: DataSettings, survey_year: int, progress: ProgressCallback = _log.info
) -> SurveySource:
    """Get the files of a survey year on the local disk, identified by their SHA-256.

    Parameters
    ----------
    settings : DataSettings
        Its `source` is used. A local file stays where it is; anything else is copied into `downloads_folder`.
    survey_year : int
    progress : callable
        Called with each progress message.

    Raises
    ------
    SourceError
        If the source does not have this year, has conflicting files for it, or cannot be read.
    StorageError
        If a copy cannot be written.
    """
    match settings.source_kind:
        case "fhwa":
            from bridge_assets.data.sources.fhwa import fetch_from_fhwa

            return fetch_from_fhwa(settings.fhwa, survey_year, settings.downloads_folder / "fhwa", progress)
        case "remote":
            return _acquire_remote(settings, survey_year, progress)
        case _:
            return survey_source(settings.source_folder, survey_year)


def known_years(settings: DataSettings) -> list[int]:
    """The survey years that a source is known to have, without a network request.

    For a local folder, the years of its files; for `fhwa`, those of the catalogue; for one remote file, the year in its
    name; for a remote folder, none. Raises SourceError if a local folder cannot be listed.
    """
    match settings.source_kind:
        case "fhwa":
            return sorted(settings.fhwa.catalogue)
        case "remote":
            year = _year_of_address(settings.source)
            return [] if year is None else [year]
        case _:
            return list(survey_files(settings.source_folder))


def unused_files(settings: DataSettings) -> dict[str, str]:
    """The files in a source folder, local or remote, that belong to no survey year, with the reasons; none of any other
    source. A remote folder is listed.

    Raises
    ------
    SourceError
        If the source cannot be listed.
    """
    from bridge_assets.data.sources.fsspec_files import list_remote_files

    if settings.source_kind == "folder":
        return left_alone(settings.source_folder, survey_files(settings.source_folder))
    if settings.source_kind != "remote" or _year_of_address(settings.source) is not None:
        return {}
    names = [file.name for file in list_remote_files(settings.source)]
    return remote_files_left_alone(names, group_by_survey_year(names)[0])


def remote_years(settings: DataSettings) -> dict[int, list[tuple[str, str]]]:
    """Survey year -> (address, version) of its files in a remote source. Nothing is downloaded.

    A remote folder is listed. A web server has no listing, so the version of a single address is empty.

    Raises
    ------
    SourceError
        If the source cannot be listed.
    """
    from bridge_assets.data.sources.fsspec_files import list_remote_files

    if (year := _year_of_address(settings.source)) is not None:
        return {year: [(settings.source, "")]}
    files = {file.name: file for file in list_remote_files(settings.source)}
    years, _ = group_by_survey_year(files)
    return {year: [(files[name].address, files[name].version) for name in names] for year, names in years.items()}


def _acquire_remote(settings: DataSettings, survey_year: int, progress: ProgressCallback) -> SurveySource:
    from bridge_assets.data.sources.fsspec_files import copy_path, copy_remote_file

    by_year = remote_years(settings)
    if survey_year not in by_year:
        raise no_survey_file_error(survey_year, by_year, redact_url(settings.source), unused_files(settings))
    addresses = [address for address, _ in by_year[survey_year]]
    root = f"{settings.source.rstrip('/')}/"
    check_no_conflicts(survey_year, [address.removeprefix(root) for address in addresses], redact_url(settings.source))
    copies = [
        copy_remote_file(address, copy_path(address, settings.downloads_folder), progress) for address in addresses
    ]
    warnings = [
        f"{copy.address} was revised since it was first copied; the first copy is kept as {copy.previous_copy}"
        for copy in copies
        if copy.revised
    ]
    return SurveySource(survey_year, tuple(_to_source_file(copy) for copy in copies), tuple(warnings))


def _to_source_file(copy: DownloadedFile) -> SourceFile:
    return SourceFile(copy.path, copy.sha256, copy.bytes, copy.address, copy.etag, copy.last_modified, copy.revised)


def _year_of_address(source: str) -> int | None:
    """The survey year of a source that is the address of one file; None for a folder."""
    parts = urlsplit(source)
    name = parts.path.rpartition("/")[2]
    is_file = "." in name or parts.scheme.lower() in ("http", "https")
    year = survey_year_of(name) if is_file and name else None
    if year is None and parts.scheme.lower() in ("http", "https"):
        raise SourceError(
            "the survey year is not known",
            where=redact_url(source),
            why="The name of the file must contain its survey year, and a web server has no folders that can be listed",
            do="use the address of a file such as https://host/NBI_2016.zip, set source to `fhwa`, or use a bucket",
        )
    return year
