"""The script that Streamlit runs: `bridge-assets dashboard`, or `streamlit run` with this file.

Belongs here: the order of the pages. Does not belong here: what is on them (`views`).
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from bridge_assets.dashboard import component
from bridge_assets.dashboard.session import dashboard_settings

_STATIC = Path(__file__).parent / "static"

#: Page -> title and symbol in the menu (Material Symbols, which Streamlit brings along).
_TITLES = {
    "overview": ("Overview", ":material/monitoring:"),
    "map": ("Map", ":material/map:"),
    "bridges": ("Inspection list", ":material/list_alt:"),
    "bridge": ("One bridge", ":material/search:"),
    "model": ("Model quality", ":material/verified:"),
    "drift": ("Drift", ":material/trending_up:"),
    "pipeline": ("Pipeline", ":material/schema:"),
    "endpoints": ("Endpoints", ":material/dns:"),
    "quality": ("Data quality", ":material/fact_check:"),
}


def main() -> None:
    """Draw the dashboard: once for each reader, and again whenever a reader changes something."""
    import streamlit as st

    settings = dashboard_settings()
    st.set_page_config(
        page_title=settings.layout.title,
        page_icon=str(_STATIC / "favicon.ico"),
        layout="wide",
        menu_items={"About": f"{settings.layout.title}: bridge condition from the National Bridge Inventory."},
    )
    st.logo(str(_STATIC / "logo.png"), size="large")
    pages = {name: _page(st, name, default=name == settings.layout.pages[0]) for name in settings.layout.pages}
    chosen = st.navigation(list(pages.values()))
    component.add_styles()
    component.open_requested_page(
        {("" if name == settings.layout.pages[0] else name): page for name, page in pages.items()} | pages
    )
    chosen.run()


def _page(st: Any, name: str, *, default: bool) -> Any:
    title, icon = _TITLES[name]

    def draw() -> None:
        import_module(f"bridge_assets.dashboard.views.{name}").show()

    draw.__name__ = name
    return st.Page(draw, title=title, icon=icon, url_path=name, default=default)


if __name__ == "__main__":
    main()
