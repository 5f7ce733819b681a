"""Shows rendered templates, and what a reader clicks in them.

Belongs here: the bridge between templates, Streamlit and `static/dashboard.js`. Does not belong here: contents.

Templates escape all text. Streamlit does not check what a component shows, so nothing else may reach `show`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from bridge_assets.dashboard.theme import static_file, stylesheet

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, PackageLoader, StrictUndefined
    from jinja2 import Environment as New

    from bridge_assets.dashboard import filters

    loaders = [PackageLoader("bridge_assets.dashboard"), PackageLoader("bridge_assets.reporting.html")]
    environment = New(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(filters.FILTERS)
    return environment


def render(template: str, **values: Any) -> str:
    """A template in `templates/`, or of the reports, as HTML; all text is escaped."""
    return _environment().get_template(template).render(**values)


def _component() -> Callable[..., Any]:
    """Registered once per process, and again after a reload of the script."""
    import streamlit as st

    @st.cache_resource(show_spinner=False)
    def register() -> Callable[..., Any]:
        from streamlit.components import v2

        return v2.component("bridge_assets.view", js=static_file("dashboard.js"), isolate_styles=False)

    return register()


def show(
    template: str, *, key: str, actions: Mapping[str, Callable[[Any], object]] | None = None, **values: Any
) -> None:
    """Show a template. A link to a page of the dashboard opens it without loading everything again.

    Parameters
    ----------
    template : str
    key : str
        Unique on the page.
    actions : mapping
        Name -> what is called with the value of an element's `data-value` when an element with `data-action` of that
        name is clicked; the page is drawn again afterwards.
    values
        For the template.
    """
    import streamlit as st

    def on_event() -> None:
        event = st.session_state[key].event
        if not event:
            return
        found = json.loads(event)
        if "open" in found:
            st.session_state["open_page"] = found["open"]
        elif found.get("action") in (actions or {}):
            (actions or {})[found["action"]](found.get("value"))

    _component()(key=key, data={"html": render(template, **values)}, on_event_change=on_event)


def open_requested_page(pages: Mapping[str, Any]) -> None:
    """Open the page whose link was clicked in the run before."""
    import streamlit as st

    requested = st.session_state.pop("open_page", None)
    if requested is None:
        return
    parts = urlsplit(requested)
    page = pages.get(parts.path.strip("/"))
    if page is not None:
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        st.switch_page(page, query_params=query)


def add_styles() -> None:
    """Add the stylesheet to the page."""
    import streamlit as st

    st.html(f"<style>{stylesheet()}</style>")


def missing(error: Exception, key: str) -> None:
    """Say that a table is missing or damaged, and which asset to materialise."""
    from bridge_assets.errors import BridgeAssetsError
    from bridge_assets.settings import DashboardSettings

    if not isinstance(error, BridgeAssetsError):
        raise error
    address = DashboardSettings.load().asset_address(error.stage) if error.stage else None
    show("missing.html", key=key, error=error, asset=error.stage, asset_address=address)
