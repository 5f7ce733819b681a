"""Renders the file of one survey year: its inspections in the text form and layout of that year."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from bridge_assets.nbi.coding_guide.layouts import layout_of_year
from bridge_assets.nbi.sample import dirt
from bridge_assets.nbi.sample.appraisal import compute_evaluations, draw_appraisals
from bridge_assets.nbi.sample.inspections import simulate
from bridge_assets.nbi.sample.naming import TEXT_WIDTHS, name_structures
from bridge_assets.nbi.sample.population import build_population
from bridge_assets.nbi.sample.spec import SampleSpec
from bridge_assets.nbi.sample.texts import (
    BLANKS_2010,
    NEW_IN_1996,
    QUOTED_ITEMS,
    ROUTE_ITEMS,
    inspection_items,
    padded_number,
    quote,
    structure_items,
)

#: Files until this year also have records of routes under structures (item 5A is not 1).
ROUTES_UNDER_UNTIL = 2009
ROUTES_UNDER_SHARE = 0.6

#: Real files use both line ends and both encodings; here CRLF until 2000 and from 2019, Latin-1 until 2009.
LF_YEARS, LATIN_1_UNTIL = range(2001, 2019), 2009


@dataclass(frozen=True, slots=True)
class Inventory:
    """The generated data from which the files are rendered.

    Attributes
    ----------
    population : pl.DataFrame
        `build_population`, with the columns of `draw_appraisals` and `name_structures`.
    structure_items : pl.DataFrame
        Item texts, in the row order of the population.
    inspections : pl.DataFrame
        `simulate`.
    inspection_items : pl.DataFrame
        Item texts, in the row order of the inspections.
    """

    spec: SampleSpec
    population: pl.DataFrame
    structure_items: pl.DataFrame
    inspections: pl.DataFrame
    inspection_items: pl.DataFrame


def build_inventory(spec: SampleSpec) -> Inventory:
    """Draw the structures, simulate their inspections, and render item texts. Each part has its own random stream."""
    streams = (np.random.default_rng([spec.seed, part]) for part in range(6))
    population = build_population(spec, next(streams))
    inspections = simulate(population, spec, next(streams))
    population = name_structures(draw_appraisals(population, next(streams)), next(streams))
    structures = dirt.add_structure_dirt(structure_items(population, next(streams)), next(streams))
    records = inspections.hstack(population[inspections["structure"]])
    items = inspection_items(records.hstack(compute_evaluations(records)))
    return Inventory(spec, population, structures, inspections, items)


def survey_rows(inventory: Inventory, survey_year: int) -> pl.DataFrame:
    """The rows of a file before dirt: item texts under canonical names, ordered by state and structure.

    `carried` is True if the same inspection is also in an earlier file of the sample. Texts are not yet quoted.
    """
    shown = (
        (inventory.inspections["first_file"] <= survey_year) & (inventory.inspections["last_file"] >= survey_year)
    ).arg_true()
    inspections = inventory.inspections[shown]
    population = inventory.population[inspections["structure"]]
    number = population.select(padded_number(survey_year).alias("STRUCTURE_NUMBER_008"))
    rows = pl.concat(
        [inventory.structure_items[inspections["structure"]], inventory.inspection_items[shown], number],
        how="horizontal",
    )
    rows = rows.with_columns(*_submission(survey_year), carried=inspections["first_file"] < survey_year)
    if survey_year < 1996:
        rows = rows.with_columns(pl.lit("").alias(item) for item in NEW_IN_1996)
    if survey_year > ROUTES_UNDER_UNTIL:
        return rows
    crossing = population.with_row_index("order").filter(
        population["under"].is_in(["1", "4", "6"]) & (inspections["structure"] % 10 < 10 * ROUTES_UNDER_SHARE)
    )
    under = _routes_under(rows[crossing["order"]], crossing)
    both = pl.concat([rows.with_row_index("order"), under.with_columns(crossing["order"])], how="diagonal")
    return both.sort("order", "RECORD_TYPE_005A", maintain_order=True).drop("order")


def _routes_under(rows: pl.DataFrame, population: pl.DataFrame) -> pl.DataFrame:
    route_rows = rows.with_columns(
        pl.col(item) if item in (*ROUTE_ITEMS, "carried") else pl.lit("").alias(item) for item in rows.columns
    )
    return route_rows.with_columns(
        RECORD_TYPE_005A=pl.lit("2"),
        ROUTE_PREFIX_005B=pl.lit("3"),
        SERVICE_LEVEL_005C=pl.lit("1"),
        ROUTE_NUMBER_005D=population["route_number"].str.reverse(),
        FUNCTIONAL_CLASS_026=pl.lit("07"),
        MIN_VERT_CLR_010=rows["VERT_CLR_UND_054B"],
        TRAFFIC_LANES_UND_028B=rows["TRAFFIC_LANES_UND_028B"],
        ADT_029=rows["ADT_029"],
        YEAR_ADT_030=rows["YEAR_ADT_030"],
        carried=pl.lit(False),
    )


def _submission(survey_year: int) -> list[pl.Expr]:
    """The submission columns, which say how FHWA received the record, without the evaluations."""
    texts = dict.fromkeys(BLANKS_2010, "")
    del texts["SUFFICIENCY_ASTERC"]
    if survey_year in (2010, 2011):
        texts = {item: " " * width for item, width in BLANKS_2010.items()}
    elif survey_year >= 1996:
        texts |= {"DATE_LAST_UPDATE": f"5/18/{survey_year}", "TYPE_LAST_UPDATE": "B", "DEDUCT_CODE": "Z "}
    else:
        texts |= {"DEDUCT_CODE": "Z ", "PROJ_SUFFIX": "0"}
    return [pl.lit(text).alias(item) for item, text in texts.items()]


def render_survey_file(inventory: Inventory, survey_year: int) -> tuple[bytes, int, dict[str, int]]:
    """The bytes of the file of a survey year, its number of rows, and the dirt in them."""
    rng = np.random.default_rng([inventory.spec.seed, survey_year])
    years, layout = inventory.spec.years, layout_of_year(survey_year)
    rows = dirt.add_row_dirt(survey_rows(inventory, survey_year), survey_year, years, rng)
    text = rows.with_columns(
        quote(pl.col(item), TEXT_WIDTHS[column], survey_year).alias(item) for item, column in QUOTED_ITEMS.items()
    )
    lines = text.select(pl.concat_str(layout.canonical_columns, separator=",")).to_series().to_list()
    truncated = dirt.truncate_line(lines, rows, survey_year, years, rng)
    end = "\n" if survey_year in LF_YEARS else "\r\n"
    whole = end.join([",".join(layout.columns), *lines, ""])
    encoding = "latin-1" if survey_year <= LATIN_1_UNTIL else "utf-8"
    return whole.encode(encoding), len(lines), dirt.count_dirt(rows, truncated)
