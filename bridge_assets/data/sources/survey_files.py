"""The files of a survey year, identified by their SHA-256.

A survey year is one national file, or one file for each of several states. `reading.file_names` derives year and state
from a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bridge_assets.data.reading.file_names import (
    check_no_conflicts,
    group_by_survey_year,
    is_year_folder,
    survey_year_of,
)
from bridge_assets.data.sources.left_alone import TABLE_SUFFIXES, files_left_alone, left_alone_sentence
from bridge_assets.errors import BridgeAssetsError, MissingYearError, SourceError
from bridge_assets.storage import digest, json_digest

__all__ = [
    "SourceFile",
    "SurveySource",
    "source_files_from_provenance",
    "survey_files",
    "survey_source",
    "survey_year_of",
    "verify_unchanged",
]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a survey year, identified by its SHA-256.

    Attributes
    ----------
    path : Path
    sha256 : str
    bytes : int
    address : str
        Address it was copied from, without credentials; empty for a local file.
    version : str
        ETag or date from the server.
    last_modified : str
    revised : bool
        Whether it is a revised file that may be used.
    """

    path: Path
    sha256: str
    bytes: int
    address: str = ""
    version: str = ""
    last_modified: str = ""
    revised: bool = False


@dataclass(frozen=True, slots=True)
class SurveySource:
    """The files of a survey year, sorted by name.

    Attributes
    ----------
    survey_year : int
    files : tuple of SourceFile
    warnings : tuple of str
        Warnings about these files.
    expected_rows : int or None
        Rows below the header, if the catalogue lists them.
    """

    survey_year: int
    files: tuple[SourceFile, ...]
    warnings: tuple[str, ...] = ()
    expected_rows: int | None = None

    @property
    def sha256(self) -> str:
        """Digest over all files; for a single file, its SHA-256."""
        digests = sorted(part.sha256 for part in self.files)
        return digests[0] if len(digests) == 1 else json_digest(digests)

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.files)

    def provenance(self) -> dict[str, Any]:
        """The provenance of a survey year of nbi_files; `source_files_from_provenance` reads it."""
        return {
            "parts": [{**asdict(part), "path": str(part.path)} for part in self.files],
            "sha256": self.sha256,
            "bytes": self.bytes,
            "expected_rows": self.expected_rows,
        }


def source_files_from_provenance(provenance: Mapping[str, Any]) -> tuple[SourceFile, ...]:
    """The files in the provenance of nbi_files. Raises SourceError if an older version of this library wrote it."""
    try:
        return tuple(SourceFile(**{**part, "path": Path(part["path"])}) for part in provenance["parts"])
    except (KeyError, TypeError):
        raise SourceError(
            "the provenance of nbi_files was written by another version",
            where=str(provenance.get("path", "nbi_files")),
            why="It does not list the files of the survey year",
            do="register the survey files again",
            stage="nbi_files",
        ) from None


def survey_files(folder: Path) -> dict[int, list[Path]]:
    """Every survey file in a folder, by survey year, in ascending order.

    Parameters
    ----------
    folder : Path
        Searched together with its subfolders that are named after a year (`2019/`). Hidden files and files without a
        known year are ignored. A table without a year in its name is opened and listed under each year it contains. A
        file of which only the DVC pointer is present (`NBI_2016.txt.dvc`) counts: `survey_source` restores it. A
        subfolder that may not be read stands for its files, so that the other years can be used.

    Raises
    ------
    SourceError
        If the folder is missing or cannot be read.
    """
    closed: dict[int, Path] = {}
    with _explained(folder):
        try:
            names = _names(folder)
            for subfolder in folder.iterdir():
                if is_year_folder(subfolder.name) and subfolder.is_dir():
                    try:
                        names |= {f"{subfolder.name}/{name}" for name in _names(subfolder)}
                    except PermissionError:
                        closed[int(subfolder.name)] = subfolder
        except FileNotFoundError:
            raise SourceError(
                "the source folder does not exist",
                where=folder,
                why="It is set as `source` in configs/data_config.yaml (or as BRIDGE_ASSETS_DATA__SOURCE)",
                do="correct the setting, or set it to `sample` to use the generated inventory",
            ) from None
    years, yearless = group_by_survey_year(names)
    found = {year: [folder / name for name in of_year] for year, of_year in years.items()}
    for name in yearless:
        for year in _survey_years_in_file(folder / name):
            found.setdefault(year, []).append(folder / name)
    for year, subfolder in closed.items():
        found.setdefault(year, []).append(subfolder)
    return dict(sorted(found.items()))


def survey_source(folder: Path, survey_year: int) -> SurveySource:
    """The files of a survey year in a local folder; missing files that DVC tracks are restored.

    Raises
    ------
    SourceError
        If the folder is missing, the year has no file or conflicting files, or a file cannot be opened.
    """
    from bridge_assets.data.dvc.versions import is_tracked, restore

    with _explained(folder):
        if not folder.exists() and is_tracked(folder):
            restore(folder)
    by_year = survey_files(folder)
    paths = by_year.get(survey_year, [])
    if not paths:
        raise no_survey_file_error(survey_year, by_year, folder, left_alone(folder, by_year))
    with _explained(folder):
        for path in paths:
            if path.is_dir():
                list(path.iterdir())  # raises: it may not be read
    check_no_conflicts(survey_year, [path.relative_to(folder).as_posix() for path in paths], folder)
    with _explained(folder):
        for path in paths:
            if not path.exists():
                restore(path)
        return SurveySource(survey_year, tuple(SourceFile(path, digest(path), path.stat().st_size) for path in paths))


def left_alone(folder: Path, by_year: Mapping[int, list[Path]]) -> dict[str, str]:
    """The files in a source folder that are not used, with the reasons (`left_alone.files_left_alone`)."""
    with _explained(folder):
        return files_left_alone(folder, by_year)


def no_survey_file_error(
    survey_year: int, by_year: Mapping[int, object], where: Path | str, unused: Mapping[str, str] | None = None
) -> MissingYearError:
    """The error for a survey year without a file; names the unused files and why they are not used."""
    sentence = left_alone_sentence(unused or {})
    return MissingYearError(
        f"no file for survey year {survey_year}",
        where=where,
        why=f"The source has files for {_format_ranges(by_year)}" + (f". {sentence}" if sentence else ""),
        do=f"put the file there under a name with its year, such as NBI_{survey_year}.txt",
    )


def verify_unchanged(path: Path, sha256: str) -> Path:
    """The path of a file, after comparing its bytes with a recorded digest.

    Raises
    ------
    SourceError
        If the file no longer exists, cannot be opened, or its bytes differ.
    """
    with _explained(path):
        found = digest(path) if path.is_file() else None
    if found is None:
        raise SourceError(
            "the file no longer exists",
            where=path,
            why="It existed when nbi_files was updated",
            do="put it back, or register the survey files again",
            stage="nbi_files",
        )
    if found != sha256:
        raise SourceError(
            "the file changed",
            where=path,
            why="Its SHA-256 is not the one recorded in nbi_files",
            do="register the survey files again",
            stage="nbi_files",
        )
    return path


@contextmanager
def _explained(source: Path) -> Iterator[None]:
    """Explain an error of the operating system inside a source folder, such as a file that another user owns."""
    try:
        yield
    except BridgeAssetsError:
        raise
    except OSError as error:
        where = Path(error.filename or source)
        raise SourceError(
            "the source folder cannot be read" if where == source else "a file in the source folder cannot be read",
            where=where,
            why=str(error.strerror or error),
            do="check that it is a folder, and its permissions"
            if where == source
            else "allow the user that runs this to read it (ls -ld shows who may; a folder needs r and x)",
        ) from error


def _names(folder: Path) -> set[str]:
    names = (path.name for path in folder.iterdir() if path.is_file())
    return {name.removesuffix(".dvc") for name in names}


def _survey_years_in_file(path: Path) -> frozenset[int]:
    if not path.name.lower().endswith(TABLE_SUFFIXES) or not path.is_file():
        return frozenset()
    stat = path.stat()
    # The time of the last change of its state, not of its content: it may have been made readable since.
    return _read_years(path, stat.st_ctime_ns, stat.st_size)


@lru_cache(maxsize=256)  # a sensor calls this every minute
def _read_years(path: Path, ctime_ns: int, size: int) -> frozenset[int]:
    from bridge_assets.data.reading.formats import survey_years_in_file  # imported late: most folders have no tables

    try:
        return frozenset(survey_years_in_file(path))
    except SourceError:
        return frozenset()  # an unrelated table


def _format_ranges(years: Mapping[int, object]) -> str:
    """Years as `1997, 1999-2022`; `no year` if there are none."""
    runs: list[list[int]] = []
    for year in sorted(years):
        if runs and runs[-1][-1] == year - 1:
            runs[-1][1:] = [year]
        else:
            runs.append([year])
    return ", ".join("-".join(map(str, run)) for run in runs) or "no year"
