"""The colours of the pages, the dashboard and the plots, read from `templates/palette.css`, the only place they are in.

Belongs here: typed colours of the light and the dark theme. Does not belong here: what a chart looks like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from importlib import resources

from bridge_assets.errors import BridgeAssetsError


class PaletteError(BridgeAssetsError, ValueError):
    """palette.css lacks a colour, or has one that `Palette` does not name."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a theme, each as `#rrggbb`.

    Text in `ink`, `soft`, `accent`, `good` or `poor` has a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3) on `page`,
    `card`, `wash` and `warn_wash`. `fair` is for areas only: text on it is `on_fair`.
    """

    page: str
    """Background of a page."""
    card: str
    """Background of a card, a table or a plot."""
    ink: str
    """Text, and lines that matter."""
    soft: str
    """Text beside it: notes, axis labels, column headings."""
    line: str
    """Borders and grid lines."""
    wash: str
    """Background of an empty bar, a marked row or a code block."""
    accent: str
    """Links and the one series that a chart is about."""
    good: str
    fair: str
    poor: str
    expected: str
    """What a model predicts."""
    observed: str
    """What was found."""
    before: str
    """The period that another one is compared with."""
    warn_wash: str
    """Background of an alert."""
    on_fair: str
    """Text on `fair`."""

    @property
    def classes(self) -> dict[str, str]:
        """Condition class -> its colour, Poor first."""
        return {"Poor": self.poor, "Fair": self.fair, "Good": self.good}


_COLOUR = re.compile(r"--([a-z-]+):\s*(#[0-9a-f]{6})\s*;")

#: In front of the colours of the dark theme.
_DARK = "@media screen and (prefers-color-scheme: dark)"


def css() -> str:
    """The stylesheet `palette.css`: CSS variables named like the fields of `Palette`, `-` for `_`."""
    return resources.files("bridge_assets.reporting.html").joinpath("templates/palette.css").read_text("utf-8")


def parse(stylesheet: str) -> tuple[Palette, Palette]:
    """The light and the dark palette of a stylesheet.

    Raises
    ------
    PaletteError
        If a theme lacks a colour of `Palette`, or has one that `Palette` does not name.
    """
    light, _, dark = stylesheet.partition(_DARK)
    return _palette(light, "light"), _palette(dark, "dark")


def _palette(part: str, theme: str) -> Palette:
    colours = {name.replace("-", "_"): colour for name, colour in _COLOUR.findall(part)}
    names = {field.name for field in fields(Palette)}
    if colours.keys() != names:
        different = ", ".join(sorted(colours.keys() ^ names))
        raise PaletteError(
            f"the {theme} theme and the class Palette differ in: {different}",
            where="reporting/html/templates/palette.css",
            do="write each colour as `--name: #rrggbb;` in both themes and name it in reporting/html/palette.py",
        )
    return Palette(**colours)


LIGHT, DARK = parse(css())
