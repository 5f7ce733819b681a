"""The structures of the sample: location, roads, crossings, dimensions and materials.

Belongs here: facts about a structure that no inspection changes, as numbers and codes. The shares roughly follow the
National Bridge Inventory: one fifth culverts, most of the rest steel or prestressed concrete stringers and concrete
slabs, half on local roads, two great building waves. Does not belong here: condition (`deterioration`) and text form
(`texts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from bridge_assets.nbi.derived import CULVERT_DESIGN
from bridge_assets.nbi.sample.draws import draw_code, draw_index, draw_lognormal
from bridge_assets.nbi.sample.places import STATES
from bridge_assets.nbi.sample.spec import SampleSpec

#: Year of `base_adt` in the population; traffic of other years is computed from it with the growth rate.
ADT_YEAR = 2010

#: Share of the structures built during the survey years: per year, and in total at most.
BUILD_RATE_PER_YEAR, MAX_BUILT_SHARE = 0.007, 0.25


class RoadClass(NamedTuple):
    """A functional class (item 26): share of structures, median ADT, truck share (%), lanes, and owners."""

    code: str
    urban: bool
    weight: float
    adt: float
    trucks: float
    lanes: float
    owners: Mapping[str, float]
    prefixes: Mapping[str, float]


_STATE = {"01": 1.0}
_MOSTLY_STATE = {"01": 80, "02": 15, "04": 5}
_SHARED = {"01": 45, "02": 50, "04": 4, "62": 1}
_COUNTY = {"01": 10, "02": 78, "03": 9, "64": 2, "66": 1}
_CITY = {"01": 10, "02": 30, "04": 60}
ROADS = (
    RoadClass("01", False, 4, 22000, 21, 2.2, _STATE, {"1": 1}),
    RoadClass("02", False, 6, 8000, 13, 2.2, _STATE, {"2": 70, "3": 30}),
    RoadClass("06", False, 8, 4000, 11, 2, _MOSTLY_STATE, {"2": 40, "3": 60}),
    RoadClass("07", False, 15, 1200, 9, 2, _SHARED, {"3": 50, "4": 50}),
    RoadClass("08", False, 8, 450, 7, 2, _COUNTY, {"3": 15, "4": 85}),
    RoadClass("09", False, 32, 90, 5, 1.7, _COUNTY, {"4": 90, "6": 3, "7": 2, "8": 5}),
    RoadClass("11", True, 5, 60000, 10, 3, _STATE, {"1": 1}),
    RoadClass("12", True, 3, 40000, 7, 2.8, _STATE, {"2": 30, "3": 60, "8": 10}),
    RoadClass("14", True, 5, 20000, 6, 2.8, _MOSTLY_STATE, {"2": 50, "3": 50}),
    RoadClass("16", True, 6, 10000, 5, 2.3, _SHARED, {"3": 50, "5": 50}),
    RoadClass("17", True, 4, 4000, 4, 2, _CITY, {"4": 30, "5": 70}),
    RoadClass("19", True, 6, 900, 3, 2, _CITY, {"4": 20, "5": 80}),
)


class SpanDesign(NamedTuple):
    """A kind (43A) and design (43B) of span: years in which it was built, span lengths (m), and weights by road."""

    kind: str
    design: str
    first: int
    last: int
    shortest: float
    longest: float
    most_spans: int
    local_weight: float
    major_weight: float


DESIGNS = (
    SpanDesign("1", "01", 1905, 2025, 6.1, 12, 3, 8, 5),
    SpanDesign("2", "01", 1948, 2025, 7.5, 16, 4, 6, 7),
    SpanDesign("1", "04", 1915, 1972, 7, 16, 4, 5, 4),
    SpanDesign("3", "02", 1920, 2025, 7, 32, 4, 17, 13),
    SpanDesign("4", "02", 1948, 2025, 18, 55, 5, 3, 14),
    SpanDesign("3", "10", 1900, 1955, 18, 60, 3, 4, 1),
    SpanDesign("3", "03", 1905, 1975, 15, 40, 3, 1, 1),
    SpanDesign("5", "02", 1957, 2025, 12, 38, 4, 7, 18),
    SpanDesign("5", "05", 1955, 2025, 8, 30, 3, 9, 7),
    SpanDesign("6", "02", 1965, 2025, 18, 42, 5, 2, 9),
    SpanDesign("5", "22", 1958, 1995, 7, 13, 3, 4, 0.5),
    SpanDesign("7", "02", 1925, 1998, 6.1, 9, 4, 6, 0.1),
    SpanDesign("1", "11", 1902, 1942, 8, 28, 3, 1, 1),
    SpanDesign("8", "11", 1900, 1935, 6.1, 12, 2, 0.5, 0.2),
    SpanDesign("1", "19", 1915, 2025, 2.4, 5.5, 4, 11, 12),
    SpanDesign("2", "19", 1945, 2025, 2.4, 4.5, 4, 3, 3),
    SpanDesign("3", "19", 1955, 2025, 2.4, 6.5, 3, 5, 1.5),
)

#: Weights of the building decades 1900-1909, 1910-1919 ... 2020-2029.
DECADES = (1, 2, 5, 8, 5, 11, 17, 12, 12, 13, 10, 8, 6)


def build_population(spec: SampleSpec, rng: np.random.Generator) -> pl.DataFrame:
    """Draw the structures.

    Returns
    -------
    pl.DataFrame
        One row per structure, ordered by state and number. Lengths in metres, angles in degrees, months counted as
        12 x year + month - 1. Codes are text as in the Coding Guide. `number` is unique within its state and repeats
        between states, as in real files.
    """
    size = spec.structures
    state = np.sort(draw_index(rng, [state.weight for state in STATES], size))
    serial = np.arange(size) - np.searchsorted(state, state)
    built = _years_built(spec, rng, size)
    urban_share = np.array([each.urban for each in STATES])[state][:, None]
    road_weights = [each.weight for each in ROADS] * np.where([each.urban for each in ROADS], urban_share, 1)
    road = draw_index(rng, road_weights, size)
    county = 1 + 2 * (rng.random(size) * np.array([each.counties for each in STATES])[state]).astype(int)
    major = np.isin(np.array([each.code for each in ROADS])[road], ["01", "02", "06", "11", "12", "14", "16"])
    design = draw_index(rng, _design_weights(built, major), size)
    frame = pl.DataFrame(
        {
            "state": np.array([each.code for each in STATES])[state],
            "state_index": state,
            "number": [f"SMP{each + 1:06d}" for each in serial],
            "county": pl.Series(county).cast(pl.String).str.zfill(3),
            "long_intervals": np.array([each.long_intervals for each in STATES])[state],
            "built": built,
            "opened": built * 12 + 3 + (9 * rng.random(size)).astype(int),
            "road": np.array([each.code for each in ROADS])[road],
            "urban": np.array([each.urban for each in ROADS])[road],
            "major": major,
            "kind": np.array([each.kind for each in DESIGNS])[design],
            "design": np.array([each.design for each in DESIGNS])[design],
            **_positions(state, rng),
            **_traffic(road, rng),
            **_dimensions(road, design, rng),
        }
    )
    return frame.with_columns(**_crossing(frame, rng)).with_columns(**_deck(frame, rng))


def _years_built(spec: SampleSpec, rng: np.random.Generator, size: int) -> np.ndarray:
    # A structure that exists when the survey begins must have been inspected before the cut-off of the first file,
    # hence the two years; one that is built later must appear before the survey ends.
    last_existing_year = spec.first_year - 2
    decades = 1900 + 10 * np.arange(len(DECADES))
    years_in_decade = np.clip(last_existing_year - decades + 1, 0, 10)
    decade = draw_index(rng, DECADES * years_in_decade, size)
    built = decades[decade] + (rng.random(size) * years_in_decade[decade]).astype(int)
    new_years = spec.last_year - 2 - spec.first_year
    is_new = rng.random(size) < min(MAX_BUILT_SHARE, BUILD_RATE_PER_YEAR * new_years)
    return np.where(is_new, spec.first_year + 1 + (rng.random(size) * new_years).astype(int), built)


def _design_weights(built: np.ndarray, major: np.ndarray) -> np.ndarray:
    columns = [
        np.where(
            (built >= each.first) & (built <= each.last), np.where(major, each.major_weight, each.local_weight), 0.0
        )
        for each in DESIGNS
    ]
    return np.column_stack(columns)


def _positions(state: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    box = np.array([(each.south, each.north, each.east, each.west) for each in STATES])[state]
    along = rng.random((2, len(state)))
    return {
        "latitude": box[:, 0] + along[0] * (box[:, 1] - box[:, 0]),
        "degrees_west": box[:, 2] + along[1] * (box[:, 3] - box[:, 2]),
    }


def _traffic(road: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    size = len(road)
    return {
        "base_adt": draw_lognormal(rng, np.array([each.adt for each in ROADS])[road], 0.7, size),
        "growth": 0.012 + 0.008 * rng.standard_normal(size),
        "truck_percent": np.clip(draw_lognormal(rng, np.array([each.trucks for each in ROADS])[road], 0.5, size), 0, 60)
        .round()
        .astype(int),
        "detour": np.clip(draw_lognormal(rng, 7.0, 0.9, size), 0, 199).round().astype(int),
        "owner": _draw_codes([each.owners for each in ROADS], road, rng),
        "prefix": _draw_codes([each.prefixes for each in ROADS], road, rng),
    }


def _draw_codes(tables: list[Mapping[str, float]], group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    codes = sorted({code for table in tables for code in table})
    weights = np.array([[table.get(code, 0) for code in codes] for table in tables])
    return np.array(codes)[draw_index(rng, weights[group], len(group))]


def _dimensions(road: np.ndarray, design: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    size = len(road)
    design_limits = np.array([(each.shortest, each.longest, each.most_spans) for each in DESIGNS])[design]
    culvert = np.array([each.design == CULVERT_DESIGN for each in DESIGNS])[design]
    spans = 1 + (design_limits[:, 2] * rng.random(size) ** 1.6).astype(int)
    longest = (design_limits[:, 0] + (design_limits[:, 1] - design_limits[:, 0]) * rng.random(size) ** 1.5).round(1)
    spans = np.maximum(spans, np.ceil(6.1 / longest).astype(int))  # NBIS length: 20 feet (23 CFR 650.305)
    length = np.maximum(6.1, longest * (1 + 0.86 * (spans - 1)) + 0.5 * rng.random(size)).round(1)
    lanes = (
        np.clip(np.array([each.lanes for each in ROADS])[road] + 0.6 * rng.standard_normal(size), 1, 6)
        .round()
        .astype(int)
    )
    approach = np.maximum(3.4, lanes * 3.4 + 2.4 * rng.random(size)).round(1)
    roadway = np.maximum(3.0, approach + 0.8 * rng.standard_normal(size)).round(1)
    walk = np.where(rng.random(size) < 0.15, 1.5, 0.2).round(1)
    under_fill = culvert & (rng.random(size) < 0.85)
    return {
        "spans": spans,
        "longest_span": longest,
        "length": length,
        "lanes": lanes,
        "approach_width": approach,
        "roadway": np.where(under_fill, 0.0, roadway),
        "clear_width": roadway,
        "curb": np.where(under_fill, 0.0, walk),
        "deck_width": np.where(under_fill, 0.0, roadway + 2 * walk + 0.4).round(1),
        "skew": np.where(rng.random(size) < 0.6, 0, 5 * (12 * rng.random(size)).astype(int)),
    }


def _crossing(frame: pl.DataFrame, rng: np.random.Generator) -> dict[str, pl.Series]:
    size = frame.height
    culvert, major, urban = (
        (frame["design"] == CULVERT_DESIGN).to_numpy(),
        frame["major"].to_numpy(),
        frame["urban"].to_numpy(),
    )
    codes = ["1", "2", "5", "6", "4"]
    # Rows: under local roads, under major rural roads, under major urban roads.
    shares = np.array([[6, 2, 90, 1, 1], [30, 6, 60, 2, 2], [40, 7, 48, 2, 3]])
    under = np.array(codes)[draw_index(rng, shares[major.astype(int) * (1 + urban)], size)]
    under = np.where(culvert, np.where(rng.random(size) < 0.01, "9", "5"), under)
    wet = np.isin(under, ["5", "6", "9"])
    older = {"8": 45, "5": 22, "U": 12, "3": 9, "6": 3, "4": 4, "7": 3, "T": 0.5, "9": 1, "2": 0.5}
    newer = {"8": 76, "5": 18, "U": 1, "3": 1, "7": 2, "9": 2}
    scour = np.where(frame["built"].to_numpy() >= 1990, draw_code(rng, newer, size), draw_code(rng, older, size))
    scour = np.where(culvert & (rng.random(size) < 0.7), "8", scour)
    return {
        "under": pl.Series(under),
        "over_water": pl.Series(wet),
        "scour": pl.Series(np.where(wet, scour, "N")),
    }


def _deck(frame: pl.DataFrame, rng: np.random.Generator) -> dict[str, pl.Series]:
    size = frame.height
    culvert, timber = (frame["design"] == CULVERT_DESIGN).to_numpy(), (frame["kind"] == "7").to_numpy()
    built, salted = frame["built"].to_numpy(), frame["latitude"].to_numpy() > 37
    # Epoxy-coated bars came into use in the late 1970s, first in the states that use de-icing salt.
    coated = rng.random(size) < np.clip((built - 1976) / 20, 0, 1) * np.where(salted, 0.85, 0.25)
    protection = np.where(coated, "1", draw_code(rng, {"0": 88, "8": 8, "2": 1, "9": 3}, size))
    surface = draw_code(rng, {"1": 40, "6": 38, "0": 10, "3": 5, "4": 4, "8": 3}, size)
    surface = np.where(timber, draw_code(rng, {"7": 60, "6": 25, "8": 15}, size), surface)
    membrane = np.where((surface == "6") & (rng.random(size) < 0.3), "2", draw_code(rng, {"0": 93, "8": 7}, size))
    deck = draw_code(rng, {"1": 86, "2": 6, "8": 3, "6": 3, "3": 2}, size)
    return {
        "protection": pl.Series(np.where(culvert, "N", np.where(timber, "0", protection))),
        "membrane": pl.Series(np.where(culvert, "N", membrane)),
        "surface": pl.Series(np.where(culvert, np.where(rng.random(size) < 0.5, "N", "6"), surface)),
        "deck_type": pl.Series(np.where(culvert, "N", np.where(timber, "8", deck))),
    }
