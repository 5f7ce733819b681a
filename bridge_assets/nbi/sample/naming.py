"""Names the roads and features that the structures of the sample carry and cross (items 5D, 6A, 7 and 9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from bridge_assets.nbi.sample.places import DIRECTIONS, RAILWAYS, STREAMS, STREETS, TOWNS, WATERS

#: Width of items 6A, 7 and 9 in characters.
TEXT_WIDTHS = {"features": 24, "facility": 18, "location": 25}

#: Signing prefix (item 5B) -> prefix of the route name, smallest and largest route number.
_ROUTES = {
    "1": ("I-", 10, 95),
    "2": ("US ", 2, 98),
    "3": ("SR ", 1, 400),
    "4": ("CO RD ", 1, 999),
    "6": ("FOREST RD ", 10, 600),
    "7": ("PARK RD ", 1, 60),
    "8": ("ACCESS RD ", 1, 40),
}


def name_structures(population: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The population with the columns route_number (five digits), facility, features and location."""
    size, prefix = population.height, population["prefix"]
    number = np.array([_ROUTES.get(code, ("", 0, 0))[1:] for code in prefix])
    number = (number[:, 0] + (number[:, 1] - number[:, 0] + 1) * rng.random(size)).astype(int)
    number = np.where(prefix == "5", 0, number)
    street = pl.Series(_draw_words(rng, STREETS, size)) + pl.Series(_draw_words(rng, (" ST", " AVE", " RD"), size))
    signed = pl.Series([_ROUTES.get(code, ("",))[0] for code in prefix]) + pl.Series(number).cast(pl.String)
    town, direction = pl.Series(_draw_words(rng, TOWNS, size)), pl.Series(_draw_words(rng, DIRECTIONS, size))
    miles = pl.Series((0.1 + 6 * rng.random(size) ** 2).round(1)).cast(pl.String)
    crossing = pl.Series("crossing", (1 + (398 * rng.random(size)).astype(int))).cast(pl.String)
    frame = pl.DataFrame(
        {
            "signed": signed,
            "street": street,
            "town": town,
            "direction": direction,
            "miles": miles,
            "crossing": crossing,
            "stream": _draw_words(rng, STREAMS, size),
            "water": _draw_words(rng, WATERS, size),
            "rail": _draw_words(rng, RAILWAYS, size),
            "prefix": prefix,
            "under": population["under"],
            "urban": population["urban"],
        }
    )
    water, road = pl.format("{} {}", "stream", "water"), pl.format("SR {}", "crossing")
    texts = {
        "facility": pl.when(pl.col("prefix") == "5").then(pl.col("street")).otherwise(pl.col("signed")),
        "features": pl.when(pl.col("under") == "1").then(road)
        .when(pl.col("under") == "2").then(pl.col("rail"))
        .when(pl.col("under") == "4").then(pl.format("{} & RR", road))
        .when(pl.col("under") == "6").then(pl.format("{} & {}", "stream", road))
        .otherwise(water),
        "location": pl.when(pl.col("urban")).then(pl.format("AT {}", "street"))
        .when(pl.col("prefix").is_in(["1", "2"])).then(pl.format("{} MI {} OF SR {}", "miles", "direction", "crossing"))
        .otherwise(pl.format("{} MI {} {}", "miles", "direction", "town")),
    }  # fmt: skip
    named = frame.select(text.str.slice(0, TEXT_WIDTHS[name]).alias(name) for name, text in texts.items())
    return population.with_columns(pl.Series("route_number", number).cast(pl.String).str.zfill(5), *named.get_columns())


def _draw_words(rng: np.random.Generator, words: Sequence[str], size: int) -> np.ndarray:
    return np.array(words)[(len(words) * rng.random(size)).astype(int)]
