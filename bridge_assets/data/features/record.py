"""Features computed from one record alone: traffic, environment and structure.

Climate and distance to the coast are looked up in tables in this package by the location of the record.
"""

from __future__ import annotations

import polars as pl

from bridge_assets.data.features.base import Feature, has_code, log10_plus_one, non_negative, years_since
from bridge_assets.data.features.climate import CLIMATE_VERSION, climate_of_state
from bridge_assets.data.features.coast import COAST_VERSION, coast_distance
from bridge_assets.nbi.derived import rating

_NORMALS = "NOAA normals 1991-2020"

_TRUCKS = pl.col("ADT_029") * pl.col("PERCENT_ADT_TRUCK_109") / 100
_LANES = pl.when(pl.col("TRAFFIC_LANES_ON_028A") > 0).then(pl.col("TRAFFIC_LANES_ON_028A"))
_RECONSTRUCTED = pl.when(pl.col("YEAR_RECONSTRUCTED_106") > 0).then(pl.col("YEAR_RECONSTRUCTED_106"))

TRAFFIC = (
    Feature("log_adt", "log10(1/day)", "29", "Load cycles and de-icing follow traffic", log10_plus_one("ADT_029")),
    Feature("log_trucks", "log10(1/day)", "29, 109", "Heavy axles cause most of the damage", (_TRUCKS + 1).log10()),
    Feature("log_adt_per_lane", "log10(1/day)", "29, 28A", "Wear per lane", (pl.col("ADT_029") / _LANES + 1).log10()),
    Feature(
        "traffic_growth",
        "log10 ratio",
        "29, 114",
        "Expected change in load",
        log10_plus_one("FUTURE_ADT_114") - log10_plus_one("ADT_029"),
    ),
    Feature(
        "log_detour",
        "log10(km)",
        "19",
        "Bridges with a long detour are kept in repair",
        log10_plus_one("DETOUR_KILOS_019"),
    ),
    Feature(
        "log_detour_traffic",
        "log10(km/day)",
        "19, 29",
        "Detour times traffic: the cost of a closure to road users, which makes repairs a priority",
        (non_negative("ADT_029").cast(pl.Float64) * non_negative("DETOUR_KILOS_019") + 1).log10(),
    ),
    Feature(
        "on_nhs", "0/1", "104", "The National Highway System has its own funding", has_code("HIGHWAY_SYSTEM_104", "1")
    ),
)

ENVIRONMENT = (
    Feature("latitude", "deg", "16", "Frost and de-icing salt", pl.col("latitude")),
    Feature("longitude", "deg", "17", "Climate and coast", pl.col("longitude")),
    Feature("over_water", "0/1", "42B", "Scour and moisture", has_code("SERVICE_UND_042B", "5", "6", "7", "8", "9")),
    Feature("scour", "code 0-9", "113", "Low codes are scour critical", rating("SCOUR_CRITICAL_113")),
    Feature("channel", "rating 0-9", "61", "Condition of the channel", rating("CHANNEL_COND_061")),
    Feature("waterway", "rating 0-9", "71", "Risk of overtopping", rating("WATERWAY_EVAL_071")),
    Feature(
        "mean_temperature",
        "°C",
        f"1; {_NORMALS}",
        "Corrosion is faster in a warm climate",
        climate_of_state("mean_temperature"),
        version=CLIMATE_VERSION,
    ),
    Feature(
        "january_temperature",
        "°C",
        f"1; {_NORMALS}",
        "Severity of the winter",
        climate_of_state("january_temperature"),
        version=CLIMATE_VERSION,
    ),
    Feature(
        "precipitation",
        "mm/year",
        f"1; {_NORMALS}",
        "Water on the deck and under the bridge",
        climate_of_state("precipitation"),
        version=CLIMATE_VERSION,
    ),
    Feature(
        "snowfall",
        "mm/year",
        f"1; {_NORMALS}",
        "Snowfall as water: salt is spread where it snows; a proxy from monthly normals (`climate`)",
        climate_of_state("snowfall"),
        version=CLIMATE_VERSION,
    ),
    Feature(
        "freeze_thaw",
        "month",
        f"1; {_NORMALS}",
        "Freezing and thawing cracks wet concrete; a proxy from monthly normals (`climate`)",
        climate_of_state("freeze_thaw"),
        version=CLIMATE_VERSION,
    ),
    Feature(
        "salt_exposure",
        "log10(mm/year x 1/day)",
        f"1, 29; {_NORMALS}",
        "Snowfall times traffic: a proxy for the salt that is spread, which no NBI item records",
        (climate_of_state("snowfall") * non_negative("ADT_029") + 1).log10(),
        version=CLIMATE_VERSION,
    ),
    Feature(
        "log_coast_distance",
        "log10(km)",
        "16, 17; coast of Natural Earth",
        "Salt in the air; distances over 100 km count as 100 km (`coast`)",
        (coast_distance() + 1).log10(),
        version=COAST_VERSION,
    ),
)

STRUCTURE = (
    Feature("age", "year", "27", "Years of exposure to the weather", years_since(pl.col("YEAR_BUILT_027"))),
    Feature(
        "age_since_work",
        "year",
        "27, 106",
        "Years since it was built or last reconstructed",
        years_since(pl.max_horizontal(pl.col("YEAR_BUILT_027"), _RECONSTRUCTED)),
    ),
    Feature("reconstructed", "0/1", "106", "Has been reconstructed", _RECONSTRUCTED.is_not_null()),
    Feature("concrete", "0/1", "43A", "Kind of material", has_code("STRUCTURE_KIND_043A", "1", "2")),
    Feature("steel", "0/1", "43A", "Kind of material", has_code("STRUCTURE_KIND_043A", "3", "4")),
    Feature("prestressed", "0/1", "43A", "Kind of material", has_code("STRUCTURE_KIND_043A", "5", "6")),
    Feature("timber", "0/1", "43A", "Kind of material", has_code("STRUCTURE_KIND_043A", "7")),
    Feature("continuous", "0/1", "43A", "Fewer joints", has_code("STRUCTURE_KIND_043A", "2", "4", "6")),
    Feature("culvert", "0/1", "43B", "A culvert has no separate deck", pl.col("is_culvert")),
    Feature("slab", "0/1", "43B", "Type of design", has_code("STRUCTURE_TYPE_043B", "1")),
    Feature("stringer", "0/1", "43B", "Type of design", has_code("STRUCTURE_TYPE_043B", "2")),
    Feature("truss", "0/1", "43B", "Type of design", has_code("STRUCTURE_TYPE_043B", "9", "10")),
    Feature(
        "log_length",
        "log10(m)",
        "49",
        "A longer bridge has more parts that can deteriorate",
        log10_plus_one("STRUCTURE_LEN_MT_049"),
    ),
    Feature("log_max_span", "log10(m)", "48", "Longer spans move more", log10_plus_one("MAX_SPAN_LEN_MT_048")),
    Feature(
        "log_spans",
        "log10",
        "45, 46",
        "More spans have more joints",
        (pl.col("MAIN_UNIT_SPANS_045") + pl.col("APPR_SPANS_046").fill_null(0) + 1).log10(),
    ),
    Feature(
        "skew",
        "deg",
        "34",
        "Uneven load on the bearings",
        pl.when(pl.col("DEGREES_SKEW_034") <= 90).then(pl.col("DEGREES_SKEW_034")),
    ),
    Feature(
        "deck_protected",
        "0/1",
        "108C",
        "Keeps chlorides away from the reinforcement",
        has_code("DECK_PROTECTION_108C", "1", "2", "3", "4", "5", "6", "7", "8"),
    ),
    Feature(
        "membrane", "0/1", "108B", "Keeps water out of the deck", has_code("MEMBRANE_TYPE_108B", "1", "2", "3", "8")
    ),
    Feature("bituminous_surface", "0/1", "108A", "Hides the deck and holds water", has_code("SURFACE_TYPE_108A", "6")),
    Feature(
        "inventory_rating",
        "t",
        "66",
        "Reserve capacity",
        pl.when(pl.col("INVENTORY_RATING_066") < 99).then(pl.col("INVENTORY_RATING_066")),
    ),
    Feature("state_owned", "0/1", "22", "State agencies and counties maintain differently", has_code("OWNER_022", "1")),
)
