"""The map of all bridges: counts by cell from afar, each bridge near by; a click opens its page."""

from __future__ import annotations

from functools import partial
from typing import Any

from bridge_assets.dashboard import component
from bridge_assets.dashboard.address_widgets import choice
from bridge_assets.dashboard.map.component import COLOURED_BY, show_map, view_sent
from bridge_assets.dashboard.map.layer import bridges_in_view, count_unplaced, view_of
from bridge_assets.dashboard.map.view import CONTIGUOUS_STATES
from bridge_assets.dashboard.queries.bridges import OUTLOOK, BridgeFilter, list_states
from bridge_assets.dashboard.queries.tables import MissingTableError, Tables
from bridge_assets.dashboard.session import cached, dashboard_settings
from bridge_assets.reporting.wording import count
from bridge_assets.reporting.wording import state as state_name
from bridge_assets.settings import bridge_path

_ANY = ""


def show() -> None:
    """Draw the page."""
    import streamlit as st

    component.show("map_head.html", key="head")
    try:
        wanted, colour_by = _choices(st)
        selection = f"{wanted.state}:{wanted.condition_class}:{wanted.listed_as}"
        home = cached((OUTLOOK,), _home, wanted) or CONTIGUOUS_STATES
        view = view_sent({"map": st.session_state.get("map")}, "map", selection, home)
        layer = cached((OUTLOOK,), _layer, view, wanted)
        without = cached((OUTLOOK,), _unplaced, wanted)
    except MissingTableError as error:
        return component.missing(error, "map-missing")
    unplaced = f" {count(without)} have no coordinates." if without else ""
    opened = show_map(
        layer,
        view,
        home,
        selection=selection,
        summary=f"{count(layer.count)} bridges in view, {count(layer.poor)} of them Poor.{unplaced}",
        colour_by=colour_by,
    )
    component.show("map_foot.html", key="foot", dagster=dashboard_settings().dagster)
    if opened:
        st.session_state["open_page"] = bridge_path(opened)
        st.rerun()
    return None


def _choices(st: Any) -> tuple[BridgeFilter, Any]:
    state, condition_class, colours = st.columns(3)
    with state:
        codes = cached((OUTLOOK,), list_states)
        chosen = choice(
            "State", [_ANY, *codes], "state", format_func=lambda code: state_name(code) if code else "All states"
        )
    with condition_class:
        in_class = choice("Class", [_ANY, "Good", "Fair", "Poor"], "class", format_func=lambda name: name or "Any")
    with colours:
        colour_by = choice("Colours", list(COLOURED_BY), "colours", format_func=lambda name: COLOURED_BY[name])
    return BridgeFilter(state=chosen, condition_class=in_class), colour_by


def _home(tables: Tables, wanted: BridgeFilter) -> Any:
    where, values = wanted.where()
    return tables.call(OUTLOOK, partial(view_of, where=where, parameters=values))


def _unplaced(tables: Tables, wanted: BridgeFilter) -> Any:
    where, values = wanted.where()
    return tables.call(OUTLOOK, partial(count_unplaced, where=where, parameters=values))


def _layer(tables: Tables, view: Any, wanted: BridgeFilter) -> Any:
    where, values = wanted.where()
    return tables.call(OUTLOOK, partial(bridges_in_view, where=where, parameters=values), view)
