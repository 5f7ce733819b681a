"""Keeps a revised file from replacing the records of a survey year before a person accepts it.

A file is *revised* if the lake has records of its survey year from other bytes, and the records differ. Its digest must
be listed in `fhwa.accept_revised`, as that of a file that FHWA revised; until then the earlier records stay in use. The
provenance of nbi_files then describes the earlier files, and the revised ones under `PENDING`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.ingest.record_changes import RecordChanges, compare_records
from bridge_assets.data.lake import Lake
from bridge_assets.data.reading.file_names import REVISION_DIGITS
from bridge_assets.data.sources.local_copies import acceptance_remedy
from bridge_assets.data.sources.survey_files import (
    SourceFile,
    SurveySource,
    source_files_from_provenance,
    verify_unchanged,
)
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings

#: Key in the provenance of nbi_files: what the source holds instead, until it is accepted.
PENDING = "pending_revision"


@dataclass(frozen=True, slots=True)
class Registration:
    """What is recorded in nbi_files for a survey year.

    Attributes
    ----------
    source : SurveySource
        The files in use.
    provenance : dict
    message : str
        What is different from the records in the lake; empty if nothing is.
    pending : bool
        Whether a revised file waits for acceptance, so that the earlier records stay in use.
    """

    source: SurveySource
    provenance: dict[str, Any]
    message: str = ""
    pending: bool = False


def register(lake: Lake, data: DataSettings, source: SurveySource) -> Registration:
    """Compare the files of a survey year with the records that the lake has of it. Writes nothing.

    Parameters
    ----------
    lake : Lake
    data : DataSettings
        Its `fhwa.accept_revised` lists the accepted digests. The generated sample is never held back.
    source : SurveySource
        What the source holds now.

    Raises
    ------
    SourceError, LayoutError
        If a file with other bytes cannot be read. The records in the lake stay.
    """
    year, accepted = source.survey_year, _with_accepted(source, data)
    used = Registration(accepted, accepted.provenance())
    if data.uses_sample or not _has_records(lake, year):
        return used
    known = lake.provenance("raw_bridges", year).get("source_sha256", "unknown")
    if source.sha256 == known:
        return used
    earlier = _earlier(lake, year, known)
    changes = _changes(lake, source, known)
    lost = {part.sha256 for part in earlier.files} - {part.sha256 for part in source.files}
    summary = f"survey year {year}: {_file_changes(earlier, source, known)}; {changes}"
    if not changes.any:
        return replace(used, message=f"survey year {year}: {_file_changes(earlier, source, known)}; the same records")
    if earlier.files and not lost and not (changes.removed or changes.changed):
        return replace(used, message=summary)
    needed = _digests_to_accept(earlier, source)
    if _are_accepted(data, year, needed, source.sha256):
        return replace(used, message=f"{summary}. The revised file was accepted and replaces the earlier records")
    message = f"{summary}. The earlier records stay in use until the revision is accepted: {acceptance_remedy(*needed)}"
    pending = {
        **source.provenance(),
        "changes": asdict(changes),
        "known_sha256": known,
        "needed": needed,
        "message": message,
    }
    provenance = {**earlier.provenance(), "sha256": known, PENDING: pending}
    return Registration(replace(earlier, warnings=source.warnings), provenance, message, pending=True)


def pending_revision(lake: Lake, survey_year: int) -> Mapping[str, Any] | None:
    """The revised files of a survey year that wait for acceptance, as nbi_files recorded them; None if there are none.

    Its `message` says what differs and what to do, `sha256` and `parts` describe the files, `needed` lists the digests.
    """
    if not lake.has_provenance("nbi_files", survey_year):
        return None
    return lake.provenance("nbi_files", survey_year).get(PENDING)


def is_accepted(data: DataSettings, survey_year: int, pending: Mapping[str, Any]) -> bool:
    """Whether a revision that was pending when nbi_files was updated has been accepted since."""
    return _are_accepted(data, survey_year, pending["needed"], pending["sha256"])


def files_to_ingest(lake: Lake, survey_year: int) -> list[Path] | None:
    """The files that nbi_files recorded for a survey year, after comparing their bytes.

    Returns
    -------
    list of Path or None
        None if a revised file took their place and waits for acceptance: the records in the lake are all that is left
        of the earlier one, and stay.

    Raises
    ------
    SourceError
        If there is no such record, or a file is gone or has changed since.
    """
    if earlier_file_is_gone(lake, survey_year):
        return None
    parts = source_files_from_provenance(lake.provenance("nbi_files", survey_year))
    return [verify_unchanged(part.path, part.sha256) for part in parts]


def earlier_file_is_gone(lake: Lake, survey_year: int) -> bool:
    """Whether a revised file waits for acceptance in the place of the one that the records in the lake came from."""
    if pending_revision(lake, survey_year) is None or not _has_records(lake, survey_year):
        return False
    provenance = lake.provenance("nbi_files", survey_year)
    if lake.provenance("raw_bridges", survey_year).get("source_sha256", "unknown") != provenance["sha256"]:
        return False
    parts = source_files_from_provenance(provenance)
    try:
        return not [verify_unchanged(part.path, part.sha256) for part in parts]
    except SourceError:
        return True


def _has_records(lake: Lake, survey_year: int) -> bool:
    return lake.year_path("raw_bridges", survey_year).is_file() and lake.has_provenance("raw_bridges", survey_year)


def _are_accepted(data: DataSettings, survey_year: int, needed: Sequence[str], of_year: str) -> bool:
    """Whether a person accepted the revised files, one by one or all files of the year by their common digest."""
    if data.source_kind == "fhwa" and survey_year in data.fhwa.catalogue:
        catalogued = data.fhwa.catalogue[survey_year].zip
        needed = [sha256 for sha256 in needed if sha256 != catalogued]  # the catalogue is edited by hand, too
    return all(data.fhwa.accepts(sha256) for sha256 in needed) or data.fhwa.accepts(of_year)


def _with_accepted(source: SurveySource, data: DataSettings) -> SurveySource:
    """The files, those that `fhwa.accept_revised` lists marked as revised."""
    files = tuple(replace(part, revised=part.revised or data.fhwa.accepts(part.sha256)) for part in source.files)
    return replace(source, files=files)


def _earlier(lake: Lake, survey_year: int, known: str) -> SurveySource:
    """The files that the records in the lake came from; without files if nbi_files recorded others since."""
    if lake.has_provenance("nbi_files", survey_year):
        provenance = lake.provenance("nbi_files", survey_year)
        if provenance.get("sha256") == known:
            files = source_files_from_provenance(provenance)
            return SurveySource(survey_year, files, expected_rows=provenance.get("expected_rows"))
    return SurveySource(survey_year, ())


def _changes(lake: Lake, source: SurveySource, known: str) -> RecordChanges:
    """How the records differ: as compared before, if neither side is different now."""
    year = source.survey_year
    before = pending_revision(lake, year)
    if before and (before["sha256"], before["known_sha256"]) == (source.sha256, known):
        return RecordChanges(**{**before["changes"], "examples": tuple(before["changes"]["examples"])})
    with lake.writing(), _temporary(lake, year) as (records, rejected):
        ingest([part.path for part in source.files], year, records, rejected)
        return compare_records(lake.year_path("raw_bridges", year), records)


@contextmanager
def _temporary(lake: Lake, survey_year: int) -> Iterator[tuple[Path, Path]]:
    """Two files beside raw_bridges, under names that `Lake.remove_leftovers` removes after a kill."""
    folder = lake.folder / "raw_bridges"
    name = f".{survey_year}.{secrets.token_hex(4)}"  # another process may be comparing the same year
    paths = folder / f"{name}.revised.tmp", folder / f"{name}.revised_rejected.tmp"
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _digests_to_accept(earlier: SurveySource, source: SurveySource) -> list[str]:
    """The digests of the files that are different, of all files together if some were only taken away."""
    known = {part.sha256 for part in earlier.files}
    return [part.sha256 for part in source.files if part.sha256 not in known] or [source.sha256]


def _file_changes(earlier: SurveySource, source: SurveySource, known: str) -> str:
    """`NBI_2020.txt has other bytes (SHA-256 3f2a9c1b7d4e, before a0b1c2d3e4f5)`."""
    before, now = {part.path.name: part for part in earlier.files}, {part.path.name: part for part in source.files}
    sentences = [_file_change(name, before.get(name), part) for name, part in now.items()]
    now_digests = {part.sha256 for part in source.files}
    sentences += [
        f"{name} is no longer there (SHA-256 {_short(part.sha256)})"
        for name, part in before.items()
        if name not in now and part.sha256 not in now_digests
    ]
    if not before:
        sentences.append(f"the records in the lake came from SHA-256 {_short(known)}")
    return ", ".join(each for each in sentences if each)


def _file_change(name: str, before: SourceFile | None, now: SourceFile) -> str:
    if before is None:
        return f"{name} is new in the source (SHA-256 {_short(now.sha256)})"
    if before.sha256 == now.sha256:
        return ""
    return f"{name} has other bytes (SHA-256 {_short(now.sha256)}, before {_short(before.sha256)})"


def _short(sha256: str) -> str:
    return sha256[:REVISION_DIGITS]


def pending_messages(lake: Lake, survey_years: Sequence[int]) -> list[str]:
    """What waits for acceptance in these survey years, one message a year."""
    found = [pending_revision(lake, year) for year in survey_years]
    return [str(each["message"]) for each in found if each]
