"""Drift: what differs from the reference years, and both distributions of any feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.dashboard import component
from bridge_assets.dashboard.address_widgets import choice
from bridge_assets.dashboard.queries import drift
from bridge_assets.dashboard.queries.tables import MissingTableError
from bridge_assets.dashboard.session import cached, dashboard_settings, tables
from bridge_assets.reporting.feature_text import feature_name
from bridge_assets.reporting.wording import state as state_name

if TYPE_CHECKING:
    from bridge_assets.drift.summary import DriftSummary


def show() -> None:
    """Draw the page."""
    from bridge_assets.drift.summary import DriftSummary
    from bridge_assets.reporting.drift import sections

    try:
        tables().last_year(drift.REPORT)
        years = tables().years(drift.REPORT)[::-1]
        year = choice("Survey year", years, "year")
        summary = DriftSummary(cached((drift.REPORT,), drift.drift_report, year))
        by_year = cached((drift.REPORT,), drift.drifted_by_year)
    except MissingTableError as error:
        return component.missing(error, "drift")
    features = sections.all_features(summary)
    component.show(
        "drift.html",
        key="drift",
        year=year,
        period=summary.period,
        overview=sections.overview(summary),
        features=features,
        measures=sections.predictions(summary, None),
        by_year=by_year,
        dagster=dashboard_settings().dagster,
    )
    _distribution(year, [row["feature"] for row in features], summary)
    return None


def _distribution(year: int, features: list[str], summary: DriftSummary) -> None:
    import streamlit as st

    from bridge_assets.reporting.drift.charts import draw_distribution
    from bridge_assets.reporting.drift.wording import describe_distribution

    left, right = st.columns([2, 1])
    with left:
        feature = choice("Feature", features, "feature", format_func=_title)
    with right:
        states = sorted({row["state"] for row in summary.rows} - {"all", ""})
        state = choice(
            "State",
            ["all", *states],
            "state",
            format_func=lambda code: "All states" if code == "all" else state_name(code),
        )
    names = (drift.REPORT, drift.FEATURES, drift.PREDICTIONS)
    try:
        found = cached(names, drift.distribution, feature, state, year)
        years = cached(names, drift.reference_years, year)
    except MissingTableError as error:
        return component.missing(error, "distribution")
    component.show(
        "drift_distribution.html",
        key="distribution",
        title=_title(feature),
        place="all bridges" if state == "all" else state_name(state),
        chart=draw_distribution(found, _title(feature)) if found.bins else None,
        sentences=describe_distribution(found) if found.bins else [],
        reference=f"reference years {years[0]} to {years[-1]}" if years else "no reference years",
        year=year,
        dagster=dashboard_settings().dagster,
    )
    return None


def _title(feature: str) -> str:
    title = feature_name(feature, with_unit=True)
    return title[:1].upper() + title[1:]
