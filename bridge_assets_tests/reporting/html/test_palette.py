"""One palette: what the stylesheet says is what Python draws with, and its text can be read."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

import bridge_assets
from bridge_assets.reporting.html import palette
from bridge_assets.reporting.html.palette import DARK, LIGHT, Palette, PaletteError

TEXT = ("ink", "soft", "accent", "good", "poor", "expected", "observed")
BACKGROUNDS = ("page", "card", "wash", "warn_wash")


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2): 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_background(theme: Palette) -> None:
    pairs = {
        (text, background): contrast(getattr(theme, text), getattr(theme, background))
        for text, background in product(TEXT, BACKGROUNDS)
    }
    pairs["on_fair", "fair"] = contrast(theme.on_fair, theme.fair)
    assert {pair: ratio for pair, ratio in pairs.items() if ratio < 4.5} == {}


def test_the_stylesheet_is_where_the_colours_come_from() -> None:
    changed = palette.css().replace(LIGHT.accent, "#123456", 1)
    light, dark = palette.parse(changed)
    assert (light.accent, dark) == ("#123456", DARK)
    assert LIGHT.classes == {"Poor": LIGHT.poor, "Fair": LIGHT.fair, "Good": LIGHT.good}


def test_a_colour_of_one_theme_only_is_named() -> None:
    with pytest.raises(PaletteError, match=r"palette\.css: the dark theme .* differ in: accent\. What to do"):
        palette.parse(palette.css().replace(f"--accent: {DARK.accent};", ""))
    with pytest.raises(PaletteError, match=r"the light theme .* differ in: alarm"):
        palette.parse(palette.css().replace(":root {", ":root { --alarm: #ff0000;", 1))


def test_no_second_palette() -> None:
    """Pages and plots take their colours from palette.css; print has a white page of its own."""
    folder = Path(bridge_assets.__file__).parent / "reporting"
    files = [each for each in folder.rglob("*") if each.suffix in (".py", ".css", ".html") and each.stem != "palette"]
    assert files
    spelled = {
        each.name: found
        for each in files
        if (found := set(re.findall(r"#[0-9a-fA-F]{6}\b", each.read_text("utf-8"))) - {"#ccd4db"})
    }
    assert spelled == {}
