"""Renders the drift page of a survey year: what moved, by how much, and where, for a bridge engineer.

Belongs here: the inputs of the page and its rendering. The figures of each section come from `sections`, the charts
from `charts`, the markup from `templates/drift_report.html`. Does not belong here: reading the lake (`inputs`), and
writing the file.

The page makes no network requests, supports light and dark mode and printing, and contains no creation time: the same
inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge_assets.reporting.html.pages import render_page

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.reporting.drift.distributions import CodeShare, Distribution


@dataclass(frozen=True)
class DriftPage:
    """The inputs of the page.

    Attributes
    ----------
    table : pl.DataFrame
        drift_report of one survey year (`drift.report.report_schema`).
    reference : str
        The reference years, as text.
    distributions : mapping
        (feature, state) -> distributions of what drifted; state `all` for all states together.
    prediction : Distribution or None
        Of the predictions; None if they were not compared.
    codes : mapping
        (item, state) -> shares of its codes, for items that a state recoded or that drifted.
    provenance : mapping
        Readable facts about the inputs, shown in the given order.
    origin_warning : str
        `data.origin.Origin.warning`: says that bridges are invented. Empty for real records.
    """

    table: pl.DataFrame
    reference: str
    distributions: Mapping[tuple[str, str], Distribution] = field(default_factory=dict)
    prediction: Distribution | None = None
    codes: Mapping[tuple[str, str], Sequence[CodeShare]] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    origin_warning: str = ""

    def __post_init__(self) -> None:
        from bridge_assets.drift.report import report_schema

        if missing := [column for column in report_schema() if column not in self.table.columns]:
            raise ValueError(
                f"table lacks {', '.join(missing)}; it has {', '.join(self.table.columns)}. What to do: pass a "
                "drift_report"
            )
        if self.table.is_empty():
            raise ValueError("table has no rows. What to do: build drift_report for the survey year first")


def page_name(survey_year: int) -> str:
    """File name of the page of a survey year."""
    return f"drift_{survey_year}.html"


def render_drift_page(page: DriftPage) -> str:
    """The page as one self-contained HTML document.

    Parameters
    ----------
    page : DriftPage

    Returns
    -------
    str
        HTML, UTF-8. All text from the tables is escaped.
    """
    from bridge_assets.drift.summary import DriftSummary
    from bridge_assets.reporting.drift import sections

    summary = DriftSummary(page.table)
    return render_page(
        "drift_report.html",
        survey_year=summary.survey_year,
        reference=page.reference,
        period=summary.period,
        sources=sections.SOURCES,
        overview=sections.overview(summary),
        predictions=sections.predictions(summary, page.prediction),
        features=sections.drifted(summary, page.distributions),
        recoded=sections.recoded(summary, page.codes),
        codes=sections.moved_codes(summary, page.codes),
        changes=sections.schema_changes(summary),
        everything=sections.all_features(summary),
        provenance=dict(page.provenance),
        origin_warning=page.origin_warning,
    )
