"""The map as a component of Streamlit: what `static/map.js` is given, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bridge_assets.dashboard.map.layer import Layer
from bridge_assets.dashboard.map.view import View
from bridge_assets.reporting.html.palette import DARK, LIGHT, Palette

ColourBy = Literal["condition", "probability"]

#: Shares of Poor bridges up to which a circle has the colours of Good and of Fair. Chosen around the national share by
#: count, about 7 % (FHWA, Bridge Condition by Highway System).
POOR_LIMITS = (0.04, 0.12)

#: Probabilities up to which a circle has each of five shades. Chosen: each about twice the one before.
PROBABILITY_LIMITS = (0.03, 0.06, 0.12, 0.25)

#: What the two ways to colour are called, for the page and the legend.
COLOURED_BY: dict[ColourBy, str] = {"condition": "Condition now", "probability": "Chance of a lower rating"}

_HTML = """
<div class="map" tabindex="0" role="group"
  aria-label="Map of bridges. Arrow keys move it, plus and minus zoom, 0 shows everything.">
  <canvas></canvas>
  <div class="tip" hidden></div>
  <div class="buttons">
    <button type="button" data-zoom="1" aria-label="Zoom in">+</button>
    <button type="button" data-zoom="-1" aria-label="Zoom out">&minus;</button>
    <button type="button" data-home aria-label="Show everything">&#8962;</button>
  </div>
</div>
<div class="legend"></div>
<p class="status" role="status"></p>
"""

_CSS = """
.map { position: relative; overflow: hidden; border: 1px solid var(--map-line); border-radius: 8px; }
.map:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
canvas { position: absolute; inset: 0; width: 100%; height: 100%; touch-action: none; cursor: grab; }
.tip { position: absolute; pointer-events: none; max-width: 280px; padding: 7px 11px; border-radius: 6px;
  font-size: 13px; line-height: 1.4; background: var(--map-ink); color: var(--map-card); overflow-wrap: anywhere; }
.buttons { position: absolute; top: 10px; right: 10px; display: grid; gap: 4px; }
.buttons button { width: 36px; height: 36px; border: 1px solid var(--map-line); border-radius: 6px; font-size: 19px;
  line-height: 1; background: var(--map-card); color: var(--map-ink); cursor: pointer; }
.buttons button:hover, .buttons button:focus-visible { border-color: var(--st-primary-color); outline: none;
  box-shadow: 0 0 0 2px var(--st-primary-color); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 10px 0 0; font-size: 13px;
  color: var(--st-text-color); }
.legend span { display: inline-flex; align-items: center; gap: 6px; }
.legend i { width: 12px; height: 12px; border-radius: 50%; }
.status { margin: 6px 0 0; font-size: 14px; color: var(--st-text-color); }
"""


def view_sent(session: Mapping[str, Any], key: str, selection: str, home: View) -> View:
    """The view that the map with this key shows; `home` before the browser told it, and for another selection."""
    state = session.get(key) or {}
    sent = state.get("view") if isinstance(state, Mapping) else None
    if not isinstance(sent, Mapping) or sent.get("selection") != selection:
        return home
    return View.parse(sent, home)


def show_map(
    layer: Layer,
    view: View,
    home: View,
    *,
    selection: str = "",
    summary: str = "",
    colour_by: ColourBy = "condition",
    height: int = 560,
    key: str = "map",
) -> str | None:
    """Show the map on the page.

    Parameters
    ----------
    layer : Layer
        What `bridges_in_view` found in the view.
    view : View
        What `view_sent` returned.
    home : View
        What "show everything" goes to.
    selection : str
        Names what is selected; when it changes, the map goes to `home`.
    summary : str
        A sentence below the map, which is also read aloud when it changes.

    Returns
    -------
    str or None
        The structure key of a bridge that was just clicked.
    """
    data = {
        "cells": layer.cells,
        "bridges": layer.bridges,
        "view": asdict(view),
        "home": asdict(home),
        "selection": selection,
        "summary": summary,
        "colour_by": colour_by,
        "colours": {"light": _colours(LIGHT), "dark": _colours(DARK)},
        "poor_limits": POOR_LIMITS,
        "probability_limits": PROBABILITY_LIMITS,
        "height": height,
    }
    result = _component()(key=key, data=data, on_view_change=_noted, on_opened_change=_noted)
    opened = result.get("opened")
    return opened if isinstance(opened, str) else None


def _colours(palette: Palette) -> dict[str, Any]:
    """What the map is drawn in; `levels`: five shades for probabilities, each further from the card than the last."""
    names = ("card", "ink", "soft", "line", "wash", "good", "fair", "poor")
    shades = [_mixed(palette.card, palette.accent, share) for share in (0.25, 0.5, 0.75, 1.0)]
    return {
        **{name: getattr(palette, name) for name in names},
        "levels": [*shades, _mixed(palette.accent, palette.ink, 0.6)],
    }


def _mixed(colour: str, other: str, share: float) -> str:
    """A colour that has this share of the other."""
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + bytes(round(a + (b - a) * share) for a, b in pairs).hex()


@cache
def _component() -> Any:
    from streamlit.components import v2

    script = Path(__file__).parent.parent / "static" / "map.js"
    return v2.component("bridge_map", html=_HTML, css=_CSS, js=script.read_text(encoding="utf-8"), isolate_styles=True)


def _noted() -> None:
    """A callback is what makes a value part of the component's state; nothing else is to be done."""
