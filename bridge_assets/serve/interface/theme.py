"""The colours of the interface: the palette of the reports, light and dark, in Gradio's variables and `cards.css`."""

from __future__ import annotations

import inspect
from dataclasses import fields
from importlib import resources
from typing import TYPE_CHECKING

from bridge_assets.reporting.html.palette import DARK, LIGHT, Palette

if TYPE_CHECKING:
    from gradio.themes import Base

#: No font of another host: what the system has.
_FONTS = ("system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
_MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Consolas", "monospace")

#: Variable of Gradio's theme -> field of the palette.
_VARIABLES = {
    "body_background_fill": "page",
    "body_text_color": "ink",
    "body_text_color_subdued": "soft",
    "background_fill_primary": "card",
    "background_fill_secondary": "wash",
    "block_background_fill": "card",
    "block_border_color": "line",
    "block_info_text_color": "soft",
    "block_label_background_fill": "card",
    "block_label_text_color": "soft",
    "block_title_text_color": "ink",
    "border_color_primary": "line",
    "border_color_accent": "accent",
    "color_accent": "accent",
    "color_accent_soft": "wash",
    "link_text_color": "accent",
    "link_text_color_hover": "accent",
    "link_text_color_active": "accent",
    "link_text_color_visited": "accent",
    "input_background_fill": "card",
    "input_background_fill_focus": "card",
    "input_border_color": "soft",
    "input_border_color_focus": "accent",
    "input_placeholder_color": "soft",
    "slider_color": "accent",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent",
    "button_primary_text_color": "card",
    "button_secondary_background_fill": "wash",
    "button_secondary_background_fill_hover": "line",
    "button_secondary_text_color": "ink",
    "accordion_text_color": "ink",
    "table_text_color": "ink",
    "error_background_fill": "warn_wash",
    "error_text_color": "poor",
    "error_border_color": "poor",
}


def css() -> str:
    """The palette as CSS variables, which Gradio's class `dark` switches, and the style of the cards."""
    cards = resources.files("bridge_assets.serve.interface").joinpath("cards.css").read_text("utf-8")
    return f":root, .light {{ {_variables(LIGHT)} }}\n.dark {{ {_variables(DARK)} }}\n{cards}"


def theme() -> Base:
    """Gradio's theme in the palette, with fonts of the system."""
    from gradio.themes import Base

    # The palette's own CSS variables: they change with the theme, so the dark values are the same.
    values = {name: f"var(--{field.replace('_', '-')})" for name, field in _VARIABLES.items()}
    known = inspect.signature(Base.set).parameters
    values |= {dark: value for name, value in values.items() if (dark := f"{name}_dark") in known}
    return Base(font=list(_FONTS), font_mono=list(_MONO_FONTS)).set(**values, input_border_width="1px")


def _variables(palette: Palette) -> str:
    names = [field.name for field in fields(palette)]
    return " ".join(f"--{name.replace('_', '-')}: {getattr(palette, name)};" for name in names)
