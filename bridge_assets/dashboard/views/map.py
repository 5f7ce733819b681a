"""The map of all bridges."""

from __future__ import annotations

from bridge_assets.dashboard import component


def show() -> None:
    """Draw the page."""
    component.show("map_head.html", key="head")
