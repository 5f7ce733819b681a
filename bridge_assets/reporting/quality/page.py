"""Renders the data quality page: rows read and rejected, flags, missing items and duplicates, as one HTML page.

Belongs here: the inputs of the page and its rendering. The figures of each section come from `sections`, the small
multiples from `html.strips`, the markup from `templates/data_quality.html`. Does not belong here: the counting
(`data.quality.summary`), jumps (`data.quality.jumps`), and writing the file.

The page makes no network requests, supports light and dark mode and printing, and contains no creation time: the same
inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge_assets.reporting.html.pages import render_page

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.settings import DataSettings


def _no_page(structure_key: str) -> None:
    """No dashboard is configured."""


@dataclass(frozen=True)
class QualityReport:
    """The inputs of the page.

    Attributes
    ----------
    summary : pl.DataFrame
        `data.quality.measures.SUMMARY_SCHEMA`, for all available survey years; may be empty.
    rejected : pl.DataFrame
        `nbi.delimited.records.REJECTED_SCHEMA` and survey_year, for the same years.
    provenance : mapping
        Readable facts about the inputs, shown in the given order.
    origin_warning : str
        `data.origin.Origin.warning`: says that bridges are invented. Empty for real records.
    flagged : pl.DataFrame, optional
        `data.quality.flagged.FLAGGED_SCHEMA`, for the latest survey year.
    flagged_files : mapping of int to int
        Survey year -> rows of its `flagged_<year>.csv` in the folder of the page.
    bridge_address : callable
        structure_key -> address of the bridge's page; None if no dashboard is configured.
    """

    summary: pl.DataFrame
    rejected: pl.DataFrame
    provenance: Mapping[str, str] = field(default_factory=dict)
    origin_warning: str = ""
    flagged: pl.DataFrame | None = None
    flagged_files: Mapping[int, int] = field(default_factory=dict)
    bridge_address: Callable[[str], str | None] = _no_page

    def __post_init__(self) -> None:
        from bridge_assets.data.quality.measures import SUMMARY_SCHEMA
        from bridge_assets.nbi.delimited.records import REJECTED_SCHEMA

        for name, columns in {"summary": [*SUMMARY_SCHEMA], "rejected": ["survey_year", *REJECTED_SCHEMA]}.items():
            table: pl.DataFrame = getattr(self, name)
            if missing := [column for column in columns if column not in table.columns]:
                raise ValueError(
                    f"{name} lacks {', '.join(missing)}; it has {', '.join(table.columns)}. What to do: pass a table "
                    "with the columns documented in QualityReport"
                )


def render_quality_page(report: QualityReport) -> str:
    """The data quality of all survey years as one self-contained HTML page.

    Parameters
    ----------
    report : QualityReport

    Returns
    -------
    str
        HTML, UTF-8. All text from the tables, in particular rejected lines, is escaped.
    """
    from bridge_assets.data.quality.measures import MEASURES
    from bridge_assets.reporting.html.charts import shares_by_year
    from bridge_assets.reporting.html.strips import LEVEL_NAMES
    from bridge_assets.reporting.quality import sections

    context: dict[str, object] = {
        "sources": sections.SOURCES,
        "measures": MEASURES,
        "definitions": sections.definitions(),
        "provenance": dict(report.provenance),
        "origin_warning": report.origin_warning,
        "level_names": LEVEL_NAMES,
        "bridge_address": report.bridge_address,
        "years": [],
    }
    if not report.summary.is_empty():
        figures = sections.QualitySummary(report.summary)
        overview = sections.overview(figures)
        flagged = [figures.share("flag", "any", year) for year in figures.years]
        span = f"{figures.years[0]} to {figures.years[-1]}" if len(figures.years) > 1 else str(figures.latest)
        context |= {
            "years": figures.years,
            "latest": figures.latest,
            "span": span,
            "overview": overview,
            "jumps": sections.jumped_shares(figures),
            "reasons": sections.rejected_lines(figures, report.rejected),
            "flags": sections.flag_rows(figures),
            "unchecked": sections.unchecked_rows(figures),
            "bridges": sections.flagged_bridges(report.flagged),
            "flagged_files": sections.flagged_file_links(report.flagged_files),
            "unknown_codes": sections.unknown_code_rows(figures),
            "gaps": sections.missing_rows(figures),
            "unparsed": sections.unparsed_rows(figures),
            "states": sections.state_rows(figures),
            "duplicates": sections.duplicate_rows(figures),
            "flagged": shares_by_year(f"Share of records with a flag, {span}", figures.years, {"Flagged": flagged}),
        }
    return render_page("data_quality.html", **context)


def data_quality_html(
    lake: Lake,
    data: DataSettings,
    flagged_files: Mapping[int, int] | None = None,
    bridge_address: Callable[[str], str | None] = lambda structure_key: None,
) -> str:
    """The data quality page for all survey years in data_quality.

    Parameters
    ----------
    lake : Lake
    data : DataSettings
    flagged_files : mapping of int to int, optional
        As `data.quality.flagged.write_flagged_files` returns it, if the lists are beside the page.
    bridge_address : callable, optional
        structure_key -> address of the bridge's page, None if no dashboard is configured.

    Raises
    ------
    SourceError
        If data_quality has no survey year.
    """
    from bridge_assets.data.origin import lake_origin, source_name
    from bridge_assets.data.quality.flagged import flagged_records

    years = lake.available_years("data_quality")
    origin = lake_origin(lake)
    summary = lake.read_years("data_quality")
    provenance = {
        "Source": source_name(origin, data),
        "Survey years": f"{years[0]} to {years[-1]} ({len(years)})",
        "Layouts": ", ".join(_layouts(lake, years)),
    }
    rejected = lake.read_years("rejected_records", years)
    records = lake.year_path("raw_bridges", years[-1])
    flagged = flagged_records(records) if records.is_file() else None
    return render_quality_page(
        QualityReport(summary, rejected, provenance, origin.warning, flagged, flagged_files or {}, bridge_address)
    )


def _layouts(lake: Lake, years: list[int]) -> list[str]:
    """The layouts with the years that use them, such as `1992 (2006 to 2009, 2012)`."""
    from bridge_assets.data.origin import format_years

    found: dict[str, list[int]] = {}
    for year in years:
        for layout in lake.provenance("data_quality", year)["layouts"]:
            found.setdefault(layout, []).append(year)
    return [f"{layout} ({format_years(layout_years)})" for layout, layout_years in found.items()]
