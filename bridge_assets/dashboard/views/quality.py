"""Data quality: rows read, loaded and rejected, flags, missing items, and the rejected rows themselves."""

from __future__ import annotations

from bridge_assets.dashboard import component
from bridge_assets.dashboard.address_widgets import PAGE, choice, number
from bridge_assets.dashboard.queries import quality
from bridge_assets.dashboard.queries.tables import MissingTableError
from bridge_assets.dashboard.session import cached, dashboard_settings
from bridge_assets.nbi.delimited.records import REJECTION_REASONS

_ANY = ""


def show() -> None:
    """Draw the page."""
    from bridge_assets.reporting.html.charts import shares_by_year
    from bridge_assets.reporting.quality import sections

    try:
        figures = sections.QualitySummary(cached((quality.SUMMARY,), quality.quality_summary))
    except MissingTableError as error:
        return component.missing(error, "quality")
    overview = sections.overview(figures)
    by_year = overview["rows"][::-1]
    component.show(
        "quality.html",
        key="quality",
        overview=overview,
        jumps=sections.jumped_shares(figures),
        flags=sections.flag_rows(figures),
        gaps=sections.missing_rows(figures),
        states=sections.state_rows(figures),
        flagged=shares_by_year(
            "Share of records with a flag",
            [row["survey_year"] for row in by_year],
            {"Observed": [row["share_flagged"] for row in by_year]},
        ),
        dagster=dashboard_settings().dagster,
    )
    _rejected(figures.years[::-1])
    return None


def _rejected(years: list[int]) -> None:
    import streamlit as st

    component.show("quality_rejected_head.html", key="rejected-head")
    left, right = st.columns(2)
    with left:
        year = choice("Survey year", [_ANY, *years], "year", format_func=lambda each: str(each) or "All years")
    with right:
        reason = choice(
            "Reason", [_ANY, *REJECTION_REASONS], "reason", format_func=lambda each: REJECTION_REASONS.get(each, "Any")
        )

    def turn_page(value: str) -> None:
        st.query_params[PAGE] = value

    rows_per_page = dashboard_settings().components.rows_per_page
    found = cached((quality.REJECTED,), quality.rejected_page, year or None, reason, number(PAGE), rows_per_page)
    if found["error"]:
        return component.missing(found["error"], "rejected-missing")
    component.show(
        "quality_rejected.html",
        key="rejected",
        actions={"page": turn_page},
        page=found,
        reasons=REJECTION_REASONS,
        dagster=dashboard_settings().dagster,
    )
    return None
