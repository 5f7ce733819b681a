"""Draws `static/logo.png` and `static/favicon.ico`: `python -m bridge_assets.dashboard.logo` writes them again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bridge_assets.reporting.html.palette import LIGHT

if TYPE_CHECKING:
    from PIL.Image import Image

STATIC = Path(__file__).parent / "static"

#: Side of the drawing in pixels; it is made smaller from there, which smooths its edges.
_SIDE = 1024

#: Sizes in favicon.ico, in pixels.
_ICON_SIZES = (16, 32, 48)

#: Half the width of the arch and its height, in 1/1024 of the side; where the deck and the hangers are.
_HALF_SPAN, _RISE, _FOOT, _DECK = 380, 430, 690, 640
_HANGERS = (-260, -130, 0, 130, 260)


def draw(side: int) -> Image:
    """A tied-arch bridge in white on a square of the accent colour, which shows on light and on dark pages."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (_SIDE, _SIDE), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((0, 0, _SIDE - 1, _SIDE - 1), radius=210, fill=LIGHT.accent)
    middle = _SIDE / 2
    for x in range(-_HALF_SPAN, _HALF_SPAN + 1):  # dots so close that they are a line
        y = _arch(x)
        pen.ellipse((middle + x - 31, y - 31, middle + x + 31, y + 31), fill="white")
    for x in _HANGERS:
        pen.line((middle + x, _arch(x), middle + x, _DECK), fill="white", width=30)
    pen.rounded_rectangle((88, _DECK - 34, _SIDE - 88, _DECK + 34), radius=34, fill="white")
    for x in (-_HALF_SPAN, _HALF_SPAN):
        pen.rounded_rectangle((middle + x - 40, _DECK, middle + x + 40, 830), radius=20, fill="white")
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _arch(x: float) -> float:
    """Height of the arch, a parabola, at a distance from its middle."""
    return _FOOT - _RISE * (1 - (x / _HALF_SPAN) ** 2)


def write(folder: Path = STATIC) -> None:
    """Write both files."""
    draw(192).save(folder / "logo.png", optimize=True)
    draw(_ICON_SIZES[-1]).save(folder / "favicon.ico", sizes=[(side, side) for side in _ICON_SIZES])


if __name__ == "__main__":
    write()
