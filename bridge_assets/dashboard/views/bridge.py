"""The page of one bridge: `/bridge?state=25&structure=B12345`, an address that can be shared."""

from __future__ import annotations

from typing import Any

from bridge_assets.dashboard import component
from bridge_assets.dashboard.queries.bridge import COMPONENTS, FACTS, Bridge, find_bridge, near_keys, similar_bridges
from bridge_assets.dashboard.queries.rating_chart import rating_chart
from bridge_assets.dashboard.queries.tables import MissingTableError, Row
from bridge_assets.dashboard.session import cached, dashboard_settings, tables
from bridge_assets.dashboard.views.bridges import with_years_text
from bridge_assets.models.dataset.targets import CHANGE
from bridge_assets.reporting.condition.reasons import format_reasons
from bridge_assets.reporting.html.charts import Chart, shares_by_year
from bridge_assets.reporting.wording import has_value

#: The tables of the page; when one of them changes, it is read again.
_TABLES = (
    "raw_bridges",
    "mart_bridge_outlook",
    "int_inspections",
    "bridge_predictions",
    "years_until_poor",
    "fct_component_rises",
    "renumbered_structures",
    "dim_structures",
)


def show() -> None:
    """Draw the page."""
    import streamlit as st

    state, structure = st.query_params.get("state", ""), st.query_params.get("structure", "")
    key = _ask_for_key(f"{state.zfill(2)}-{structure}" if structure else "")
    if not key:
        return component.show("bridge_ask.html", key="ask")
    try:
        bridge: Bridge | None = cached(_TABLES, find_bridge, key)
        if bridge is None:
            return component.show("bridge_unknown.html", key="unknown", wanted=key, near=near_keys(tables(), key))
        similar = cached(_TABLES, similar_bridges, bridge.key, dashboard_settings().components.like_bridges)
    except MissingTableError as error:
        return component.missing(error, "bridge")
    component.show("bridge.html", key="bridge", **values(bridge, similar))
    return None


def _ask_for_key(key: str) -> str:
    """A field for another key; what is typed there becomes the address."""
    import streamlit as st

    def open_key() -> None:
        state, _, structure = st.session_state["key"].strip().partition("-")
        st.query_params.from_dict({"state": state.strip(), "structure": structure.strip()})

    if st.session_state.get("shown_key") != key:
        st.session_state["key"] = st.session_state["shown_key"] = key
    st.text_input(
        "Structure key",
        key="key",
        placeholder="Such as 25-B12345: state code, dash, structure number",
        on_change=open_key,
    )
    return key


def values(bridge: Bridge, similar: list[Row]) -> dict[str, Any]:
    """What the template shows of a bridge."""
    outlook = with_years_text([bridge.outlook])[0] if bridge.outlook else None
    target = (outlook["target"] if outlook else None) or "fall"
    reasons = format_reasons((outlook["reasons"] or []) if outlook else [], target)
    largest = max((abs(float(reason.contribution)) for reason in reasons), default=1.0) or 1.0
    return {
        "bridge": bridge,
        "latest": bridge.latest,
        "outlook": outlook,
        "components": [(name, bridge.latest.get(item), item) for name, (_, item) in COMPONENTS.items()],
        "facts": [(label, item, bridge.latest.get(item)) for item, label in FACTS.items()],
        "raises": [(reason, abs(float(reason.contribution)) / largest) for reason in reasons if reason.raises_risk],
        "lowers": [(reason, abs(float(reason.contribution)) / largest) for reason in reasons if not reason.raises_risk],
        "unit": "points of the rating" if target.startswith(CHANGE) else "percentage points of the probability",
        "score_chart": _score_chart(bridge),
        "chart": rating_chart(bridge.inspections, bridge.records[0]["survey_year"]),
        "similar": with_years_text(similar),
        "dagster": dashboard_settings().dagster,
    }


def _score_chart(bridge: Bridge) -> Chart | None:
    """The probability of each scored survey year; None for fewer than two."""
    rows = [row for row in bridge.scores if has_value(row["fall_probability"])]
    if len(rows) < 2:
        return None
    return shares_by_year(
        "Probability of a lower rating at the next inspection, by survey year",
        [row["survey_year"] for row in rows],
        {"Expected": [row["fall_probability"] for row in rows]},
    )
