"""The part of the world that the map shows, in the plane of Web Mercator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Pixels of the world's width at zoom 0, as in every map on the web.
WORLD_PIXELS = 256

#: Closest zoom: about 1 m a pixel. Farthest: the United States with Alaska and Hawaii on a phone.
MAX_ZOOM, MIN_ZOOM = 17.0, 1.5

#: Largest size of a view in pixels that is counted; a client that asks for more gets this.
MAX_PIXELS = 4096


@dataclass(frozen=True)
class View:
    """The centre, the zoom and the size of a map.

    Attributes
    ----------
    x, y : float
        Centre in the plane of Web Mercator: 0 to 1, west to east and north to south.
    zoom : float
        The world is `WORLD_PIXELS * 2**zoom` pixels wide.
    width, height : int
        Size in CSS pixels.
    """

    x: float
    y: float
    zoom: float
    width: int = 1000
    height: int = 560

    @classmethod
    def parse(cls, sent: Mapping[str, Any] | None, default: View) -> View:
        """The view that a browser sent; what is missing or not a number in range is taken from the default.

        Nothing that a browser sends is an error: at worst the map shows the default.
        """

        def number(name: str, low: float, high: float) -> float:
            value = (sent or {}).get(name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                return getattr(default, name)
            return min(max(value, low), high)

        return cls(
            number("x", 0, 1),
            number("y", 0, 1),
            number("zoom", MIN_ZOOM, MAX_ZOOM),
            int(number("width", 100, MAX_PIXELS)),
            int(number("height", 100, MAX_PIXELS)),
        )

    @classmethod
    def around(cls, west: float, south: float, east: float, north: float, width: int = 1000, height: int = 560) -> View:
        """The view that shows a box of degrees with a margin."""
        left, top = mercator(west, north)
        right, bottom = mercator(east, south)
        size = max((right - left) * WORLD_PIXELS / width, (bottom - top) * WORLD_PIXELS / height)
        zoom = MAX_ZOOM - 3 if size <= 0 else -math.log2(size) - 0.15
        return cls((left + right) / 2, (top + bottom) / 2, min(max(zoom, MIN_ZOOM), MAX_ZOOM - 3), width, height)

    @property
    def pixel(self) -> float:
        """Width of a pixel in the plane."""
        return 1 / (WORLD_PIXELS * 2**self.zoom)

    def box(self, margin: float = 0.0) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in the plane, wider by a share of the size on each side."""
        half_width = self.width * self.pixel * (0.5 + margin)
        half_height = self.height * self.pixel * (0.5 + margin)
        return self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height


def mercator(longitude: float, latitude: float) -> tuple[float, float]:
    """Degrees to the plane. Latitudes beyond 85 degrees, where the plane ends, are moved there."""
    latitude = math.radians(min(max(latitude, -85.0), 85.0))
    return (longitude + 180) / 360, 0.5 - math.log(math.tan(math.pi / 4 + latitude / 2)) / (2 * math.pi)


def degrees(x: float, y: float) -> tuple[float, float]:
    """The plane to degrees of longitude and latitude."""
    return x * 360 - 180, math.degrees(2 * math.atan(math.exp((0.5 - y) * 2 * math.pi)) - math.pi / 2)


#: The contiguous states.
CONTIGUOUS_STATES = View.around(-125, 24.4, -66.5, 49.5)
