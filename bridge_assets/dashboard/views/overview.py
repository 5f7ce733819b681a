"""Condition over the years: Good, Fair and Poor by number of structures and by deck area, and by state."""

from __future__ import annotations

from bridge_assets.dashboard import component
from bridge_assets.dashboard.address_widgets import choice
from bridge_assets.dashboard.queries import overview
from bridge_assets.dashboard.queries.tables import MissingTableError
from bridge_assets.dashboard.session import cached, dashboard_settings, tables
from bridge_assets.reporting.wording import state as state_name


def show() -> None:
    """Draw the page."""
    import streamlit as st

    try:
        rows = cached((overview.WITH_SCORES, overview.WITHOUT_SCORES), overview.condition_by_year)
    except MissingTableError as error:
        return component.missing(error, "overview")
    left, right = st.columns(2)
    with left:
        options = [overview.ALL_STATES, *overview.states_of(rows)]
        place = choice(
            "State",
            options,
            "state",
            format_func=lambda code: "All states" if code == overview.ALL_STATES else state_name(code),
        )
    with right:
        weight = choice("Share of", ["structures", "deck area"], "of", kind="segmented_control")
    figures = overview.figures(rows, place, by_area=weight == "deck area")
    component.show(
        "overview.html",
        key="overview",
        source=overview.WITH_SCORES if tables().has(overview.WITH_SCORES) else overview.WITHOUT_SCORES,
        dagster=dashboard_settings().dagster,
        place="all bridges" if place == overview.ALL_STATES else f"bridges in {state_name(place)}",
        **figures,
    )
    return None
