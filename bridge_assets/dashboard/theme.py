"""The look of the dashboard, from the palette of the reports: options of Streamlit, and a stylesheet."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from importlib import resources

from bridge_assets.reporting.html.palette import DARK, LIGHT, Palette
from bridge_assets.settings import DashboardSettings

#: The system's own fonts: nothing is fetched.
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_CODE_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

#: The line of the reports' stylesheet that is replaced: its colours follow the system, not the reader's choice.
_PALETTE_LINE = '{% include "palette.css" %}'


def static_file(name: str) -> str:
    """The text of a file in `static/`."""
    return resources.files("bridge_assets.dashboard").joinpath("static", name).read_text("utf-8")


def theme_options(settings: DashboardSettings) -> dict[str, str]:
    """Streamlit's options of the theme, for both the light and the dark one, such as `theme.dark.textColor`."""
    options = {
        "theme.baseFontSize": str(settings.theme.font_size),
        "theme.font": _FONT,
        "theme.codeFont": _CODE_FONT,
        "theme.baseRadius": "8px",
        "theme.linkUnderline": "true",
        "theme.showWidgetBorder": "true",
    }
    if settings.theme.base != "system":
        options["theme.base"] = settings.theme.base
    for name, palette in (("light", LIGHT), ("dark", DARK)):
        options |= {f"theme.{name}.{option}": colour for option, colour in _colours(palette).items()}
        options[f"theme.{name}.sidebar.backgroundColor"] = palette.card
        options[f"theme.{name}.sidebar.secondaryBackgroundColor"] = palette.wash
    return options


def _colours(palette: Palette) -> dict[str, str]:
    return {
        "primaryColor": palette.accent,
        "backgroundColor": palette.page,
        "secondaryBackgroundColor": palette.card,
        "textColor": palette.ink,
        "linkColor": palette.accent,
        "borderColor": palette.line,
        "codeBackgroundColor": palette.wash,
        "codeTextColor": palette.ink,
    }


@cache
def stylesheet() -> str:
    """The rules of the reports for what is inside `.bridge-assets`, with both palettes, and `static/custom.css`.

    Streamlit sets the CSS property `color-scheme` of its root, also when a reader switches the theme, so `light-dark()`
    follows it.
    """
    names = [field.name for field in fields(Palette)]
    colours = " ".join(
        f"--{name.replace('_', '-')}: light-dark({getattr(LIGHT, name)}, {getattr(DARK, name)});" for name in names
    )
    reports = resources.files("bridge_assets.reporting.html").joinpath("templates", "style.css").read_text("utf-8")
    rules = reports.replace(_PALETTE_LINE, "")
    return f".stApp {{ {colours} }}\n.bridge-assets {{\n{rules}\n}}\n{static_file('custom.css')}"
