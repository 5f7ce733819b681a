"""Load rating and appraisal of the structures of the sample: items 31, 36, 41, 61, 63 to 72 and FHWA's evaluations.

Facts that do not change are drawn once per structure (`draw_appraisals`). Evaluations that follow from the ratings are
computed (`compute_evaluations`), by the rules of the Coding Guide if these are short, otherwise by simpler ones: a
model must not use these columns anyway.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from bridge_assets.nbi.derived import GOOD_MIN, POOR_MAX
from bridge_assets.nbi.sample.draws import draw_code, draw_lognormal

#: As-built inventory rating in metric tons, by design load (item 31): H 10, H 15, HS 15, H 20, HS 20, HS 20 Mod, HS 25,
#: HL 93, unknown.
INVENTORY_TONS_BY_DESIGN_LOAD = {
    "1": 11.0,
    "2": 16.5,
    "3": 22.0,
    "4": 24.0,
    "5": 32.7,
    "6": 36.0,
    "9": 40.5,
    "A": 42.0,
    "0": 20.0,
}

#: Rating of the superstructure or culvert (0 to 9) -> remaining share of the as-built inventory rating.
REMAINING_STRENGTH = {0: 0.0, 1: 0.0, 2: 0.3, 3: 0.5, 4: 0.75, 5: 0.92, 6: 1.0, 7: 1.0, 8: 1.0, 9: 1.0}

#: Ratio of operating to inventory rating in the load factor method.
OPERATING_TO_INVENTORY_RATIO = 1.667
MAX_LOAD_RATING_TONS = 99.9

#: Operating rating (t) below which a bridge of the sample is posted; this applies to about one in twelve.
LEGAL_LOAD_TONS = 24.0

#: Coding Guide, item 67: code -> required inventory rating (t) for ADT up to 500, up to 5,000, and above.
EVALUATION_TONS = {
    4: (10.8, 12.6, 16.2),
    5: (16.2, 18.0, 19.8),
    6: (20.7, 22.5, 24.3),
    7: (27.9, 27.9, 27.9),
    8: (32.4, 32.4, 32.4),
    9: (32.5, 32.5, 32.5),
}

#: Coding Guide, Appendix B: reduction of S1 by the lowest rating of superstructure, substructure and culvert.
SUFFICIENCY_REDUCTION = {0: 55, 1: 55, 2: 55, 3: 40, 4: 25, 5: 10, 6: 0, 7: 0, 8: 0, 9: 0}


def draw_appraisals(population: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Draw the appraisal facts that do not change, and add them to the population.

    Returns
    -------
    pl.DataFrame
        The population with design_load, rated_tons, rating_method, safety (items 36A to D as one text of four codes),
        channel, waterway, alignment, geometry, clearance_under (m, 0 if nothing passes under), side_clearance (m) and
        underclearance.
    """
    size, built = population.height, population["built"].to_numpy()
    early = draw_code(rng, {"1": 20, "2": 40, "0": 25, "4": 10, "3": 5}, size)
    middle = draw_code(rng, {"2": 25, "4": 15, "3": 10, "5": 45, "0": 5}, size)
    late = draw_code(rng, {"5": 60, "6": 25, "9": 15}, size)
    load = np.select([built < 1945, built < 1965, built < 2009], [early, middle, late], "A")
    tons = np.minimum(
        draw_lognormal(rng, np.array([INVENTORY_TONS_BY_DESIGN_LOAD[code] for code in load]), 0.2, size),
        MAX_LOAD_RATING_TONS,
    )
    wet, crossed = population["over_water"].to_numpy(), population["under"].is_in(["1", "2", "4", "6"]).to_numpy()
    scour_critical = population["scour"].is_in(["2", "3", "4"]).to_numpy()
    channel = np.clip(6.8 - 1.2 * scour_critical + rng.standard_normal(size), 3, 9).round().astype(int).astype(str)
    waterway = draw_code(rng, {"9": 12, "8": 40, "7": 18, "6": 20, "5": 6, "4": 3, "3": 1}, size)
    lane = population["clear_width"].to_numpy() / population["lanes"].to_numpy()
    geometry = np.clip(4.5 + 1.6 * (lane - 3.7) + rng.standard_normal(size), 2, 9).round().astype(int).astype(str)
    clearance = np.where(population["under"].is_in(["2", "4"]), 6.4, 4.6) + 0.9 * rng.random(size)
    modern = np.clip((built - 1965) / 40, 0.1, 0.9)
    safety = [
        np.where(rng.random(size) < 0.1, "N", np.where(rng.random(size) < modern * share, "1", "0"))
        for share in (1.0, 0.85, 0.95, 0.85)
    ]
    method = np.where(built >= 2009, "3", draw_code(rng, {"1": 62, "2": 18, "5": 15, "4": 1, "3": 4}, size))
    return population.with_columns(
        design_load=pl.Series(load),
        rated_tons=pl.Series(tons),
        rating_method=pl.Series(method),
        safety=pl.Series(["".join(codes) for codes in zip(*safety, strict=True)]),
        channel=pl.Series(np.where(wet, channel, "N")),
        waterway=pl.Series(np.where(wet, waterway, "N")),
        alignment=pl.Series(draw_code(rng, {"8": 55, "7": 14, "6": 18, "5": 6, "4": 5, "3": 2}, size)),
        geometry=pl.Series(np.where(population["deck_width"] == 0, "N", geometry)),
        clearance_under=pl.Series(np.where(crossed, clearance.round(2), 0.0)),
        side_clearance=pl.Series(np.where(crossed, (1.5 + 5 * rng.random(size)).round(1), 0.0)),
        underclearance=pl.Series(
            np.where(crossed, np.clip((clearance - 4.0) * 2.2 + 2, 2, 9).astype(int).astype(str), "N")
        ),
    )


def compute_evaluations(records: pl.DataFrame) -> pl.DataFrame:
    """Compute the evaluations that follow from the ratings of an inspection.

    Parameters
    ----------
    records : pl.DataFrame
        Inspections with the columns of their structures.

    Returns
    -------
    pl.DataFrame
        lowest, condition_class (`G`, `F`, `P`), inventory_tons, operating_tons, structural (item 67), posting (item
        70), open_posted (item 41), deficient (1 structurally deficient, 2 functionally obsolete, 0 neither),
        recently_built (within ten years), sufficiency (%).
    """
    structural_parts = [pl.col(name).replace(-1, None) for name in ("superstructure", "substructure", "culvert")]
    lowest = pl.min_horizontal(*structural_parts, pl.col("deck").replace(-1, None))
    bearing = pl.coalesce(structural_parts[0], structural_parts[2])
    inventory = (pl.col("rated_tons") * bearing.replace_strict(REMAINING_STRENGTH, return_dtype=pl.Float64)).round(1)
    frame = records.with_columns(
        lowest=lowest,
        bearing=bearing,
        structural_lowest=pl.min_horizontal(*structural_parts),
        inventory_tons=inventory,
        operating_tons=pl.min_horizontal(
            (inventory * OPERATING_TO_INVENTORY_RATIO).round(1), pl.lit(MAX_LOAD_RATING_TONS)
        ),
    )
    frame = frame.with_columns(structural=_structural_evaluation(), posting=_posting())
    frame = frame.with_columns(
        open_posted=pl.when(pl.col("lowest") <= 1)
        .then(pl.lit("K"))
        .when(pl.col("posting") < 5)
        .then(pl.lit("P"))
        .otherwise(pl.lit("A")),
        deficient=_deficient(),
        recently_built=pl.col("month") // 12 - pl.max_horizontal("built", "reconstructed") < 10,
        sufficiency=_sufficiency(),
        condition_class=pl.when(lowest >= GOOD_MIN)
        .then(pl.lit("G"))
        .when(lowest <= POOR_MAX)
        .then(pl.lit("P"))
        .otherwise(pl.lit("F")),
    )
    return frame.select(
        "lowest", "condition_class", "inventory_tons", "operating_tons", "structural", "posting", "open_posted",
        "deficient", "recently_built", "sufficiency",
    )  # fmt: skip


def _structural_evaluation() -> pl.Expr:
    """Item 67: the lower of superstructure and substructure (or the culvert), limited by the inventory rating."""
    allowed = pl.lit(2)
    for code, (to_500, to_5000, above) in EVALUATION_TONS.items():
        needed = pl.when(pl.col("adt") <= 500).then(to_500).when(pl.col("adt") <= 5000).then(to_5000).otherwise(above)
        allowed = pl.when(pl.col("inventory_tons") >= needed).then(pl.lit(code)).otherwise(allowed)
    closed = pl.col("lowest") <= 1
    return pl.when(closed).then(0).otherwise(pl.min_horizontal("structural_lowest", allowed))


def _posting() -> pl.Expr:
    """Item 70: 5 if legal loads may pass, otherwise one less for each tenth by which capacity is below legal load."""
    missing = 1 - pl.col("operating_tons") / LEGAL_LOAD_TONS
    return pl.when(missing <= 0).then(5).otherwise((4 - (missing * 10).floor()).clip(0, 4)).cast(pl.Int64)


def _code(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Int64, strict=False).fill_null(9)


def _deficient() -> pl.Expr:
    """1 if structurally deficient (lowest rating <= 4, or item 67 or 71 <= 2), else 2 if functionally obsolete."""
    deficient = (pl.col("lowest") <= POOR_MAX) | (pl.col("structural") <= 2) | (_code("waterway") <= 2)
    obsolete = (
        (pl.min_horizontal(_code("geometry"), _code("underclearance"), _code("alignment")) <= 3)
        | (pl.col("structural") == 3)
        | (_code("waterway") == 3)
    )
    return pl.when(deficient).then(1).when(obsolete).then(2).otherwise(0)


def _sufficiency() -> pl.Expr:
    """Sufficiency rating, S1 + S2 + S3 of the Coding Guide, Appendix B, without its special reductions (S4)."""
    reduction = pl.col("structural_lowest").replace_strict(SUFFICIENCY_REDUCTION, return_dtype=pl.Int64)
    lacking = 0.3254 * (32.4 - pl.col("inventory_tons")).clip(0) ** 1.5
    safety = (55 - reduction - lacking).clip(0, 55)

    def penalty(code: pl.Expr) -> pl.Expr:
        return pl.when(code <= 3).then(4).when(code == 4).then(2).when(code == 5).then(1).otherwise(0)

    deck = pl.when(pl.col("deck") == -1).then(9).otherwise(pl.col("deck"))
    codes = [deck, pl.col("structural"), *map(_code, ("geometry", "underclearance", "waterway", "alignment"))]
    obsolescence = 30 - pl.sum_horizontal(penalty(code) for code in codes).clip(0, 13)
    share = ((safety + obsolescence) / 85).clip(0.05)
    essential = (15 - 15 * pl.col("adt") * pl.col("detour") / (320_000 * share)).clip(0, 15)
    return (safety + obsolescence + essential).clip(0, 100).round(1)
