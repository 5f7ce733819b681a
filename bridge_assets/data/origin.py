"""Whether survey years are real records or the generated sample, whose bridges are invented.

Decided for each survey year from its records, because the setting `source` may have changed since they were read: every
structure number of the sample begins with `SMP`. The answer is kept in the provenance of raw_bridges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_assets.errors import MixedOriginError

if TYPE_CHECKING:
    from bridge_assets.data.lake import Lake
    from bridge_assets.data.sources.survey_files import SurveySource
    from bridge_assets.settings import DataSettings

#: Key in the provenance of raw_bridges.
IS_SAMPLE = "is_sample"

#: What a table says in its column `source` about a bridge of the sample.
SAMPLE_SOURCE = "sample (invented bridges)"

#: How the structure numbers of the sample begin. Also in `nbi.sample.population`, whose source code is the sample's
#: version: to import it from there would generate every sample again.
SAMPLE_PREFIX = "SMP"


@dataclass(frozen=True, slots=True)
class Origin:
    """The survey years of the lake, by whether they are real.

    Attributes
    ----------
    sample_years, real_years : tuple of int
        In ascending order.
    """

    sample_years: tuple[int, ...] = ()
    real_years: tuple[int, ...] = ()

    @property
    def warning(self) -> str:
        """What a reader of anything made from these years must know; empty if all of them are real."""
        if not self.sample_years:
            return ""
        if not self.real_years:
            return (
                "This is the generated sample, not real data. Every bridge is invented, and the figures of the states "
                "say nothing about their real bridges."
            )
        return (
            f"Real records and the generated sample are mixed: the bridges of {format_years(self.sample_years)} are "
            f"invented, those of {format_years(self.real_years)} are real. Trends and predictions mean nothing. What "
            "to do: run your files with a `home` of their own (configs/data_config.yaml)."
        )


def lake_origin(lake: Lake) -> Origin:
    """Which survey years of raw_bridges are the sample."""
    by_year = {year: is_sample_year(lake, year) for year in lake.available_years("raw_bridges")}
    return Origin(
        tuple(year for year, is_sample in by_year.items() if is_sample),
        tuple(year for year, is_sample in by_year.items() if not is_sample),
    )


def is_sample_year(lake: Lake, survey_year: int) -> bool:
    """Whether the records of a survey year are the sample. Raises SourceError if there are none."""
    if lake.has_provenance("raw_bridges", survey_year):
        known = lake.provenance("raw_bridges", survey_year).get(IS_SAMPLE)
        if known is not None:  # tables that an earlier version wrote do not have it
            return bool(known)
    return holds_sample(lake.year_path("raw_bridges", survey_year))


def holds_sample(records: Path) -> bool:
    """Whether all records of a Parquet file of raw_bridges are from the sample; False if it has no record."""
    import polars as pl

    number = pl.col("structure_key").str.slice(3)
    counts = (
        pl.scan_parquet(records)
        .select(rows=pl.len(), invented=number.str.starts_with(SAMPLE_PREFIX).sum())
        .collect(engine="streaming")
    )
    rows, invented = counts.row(0)
    return rows > 0 and rows == invented


def source_of_year(lake: Lake, survey_year: int) -> str:
    """Where the bridges of a survey year come from, for a column of a table: `NBI 2019: AK19.txt`."""
    if is_sample_year(lake, survey_year):
        return SAMPLE_SOURCE
    files = lake.provenance("raw_bridges", survey_year)["files"]
    more = f" and {len(files) - 3} more files" if len(files) > 3 else ""
    return f"NBI {survey_year}: {', '.join(files[:3])}{more}"


def source_name(origin: Origin, data: DataSettings) -> str:
    """Where the records came from, in words and without any path on this machine."""
    from bridge_assets.data.sources.local_copies import redact_url

    if origin.sample_years:
        return "the generated sample inventory" + (" and real records" if origin.real_years else "")
    match data.source_kind:
        case "folder":
            return data.source_folder.name
        case "sample":  # the setting was changed after these records were read
            return "survey files of an earlier source"
        case _:
            return redact_url(data.source)


def refuse_mix(lake: Lake, data: DataSettings, source: SurveySource) -> None:
    """Refuse a survey year of the sample in a lake of real records, and the other way round.

    Raises
    ------
    SourceError
        If they would be mixed. Trends would compare invented bridges with real ones, and a model that was trained on
        the sample would score real bridges.
    """
    _refuse_mix(lake, lake_origin(lake), data, lambda: source)


def refuse_mix_with_source(lake: Lake, data: DataSettings) -> None:
    """As `refuse_mix`, for the latest file of the configured source, before a run starts. Nothing is downloaded: files
    of a remote source are judged when they have been copied.
    """
    from bridge_assets.data.sources.survey_files import survey_files, survey_source

    def latest() -> SurveySource | None:
        by_year = survey_files(data.source_folder) if data.source_kind == "folder" else {}
        return survey_source(data.source_folder, max(by_year)) if by_year else None

    _refuse_mix(lake, lake_origin(lake), data, latest)


def _refuse_mix(lake: Lake, origin: Origin, data: DataSettings, source: Callable[[], SurveySource | None]) -> None:
    """`refuse_mix` with a source that is only read if the lake holds years of the sample; None is never refused."""
    if data.uses_sample:
        if origin.real_years:
            raise _mix_error(lake, f"the records of {format_years(origin.real_years)} here are real")
    elif origin.sample_years and (file := source()) and not _is_sample_file(file):
        raise _mix_error(lake, f"the records of {format_years(origin.sample_years)} here are the generated sample")


def format_years(years: Iterable[int]) -> str:
    """`2006 to 2009, 2012`."""
    ranges: list[list[int]] = []
    for year in sorted(years):
        if ranges and ranges[-1][1] == year - 1:
            ranges[-1][1] = year
        else:
            ranges.append([year, year])
    return ", ".join(f"{first} to {last}" if last > first else str(first) for first, last in ranges)


def _is_sample_file(source: SurveySource) -> bool:
    """Whether the first batch of a file holds sample records only: a copy of the sample in another folder."""
    import polars as pl

    from bridge_assets.data.reading.formats import read_survey_file

    for part in source.files:
        for read in read_survey_file(part.path, source.survey_year):
            numbers = pl.DataFrame(read.batch.table.select(["STRUCTURE_NUMBER_008"])).to_series().cast(pl.String)
            if not numbers.str.strip_chars_start(" 0").str.starts_with(SAMPLE_PREFIX).all():
                return False
            break
    return True


def _mix_error(lake: Lake, what: str) -> MixedOriginError:
    return MixedOriginError(
        what,
        where=lake.folder,
        why="The sample's bridges are invented: mixed with real records, trends and predictions would be wrong",
        do="keep the two apart: set BRIDGE_ASSETS_DATA__HOME to another folder for this run (for example var/real), or "
        "`home` in configs/data_config.yaml",
    )
