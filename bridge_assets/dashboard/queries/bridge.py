"""One bridge: its records over the years, inspections, scores, work, data flags, and similar bridges.

Tables are written in the order of their structure keys, so a filter on the key reads few row groups of a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge_assets.dashboard.queries.bridges import OUTLOOK
from bridge_assets.dashboard.queries.tables import MissingTableError, Row, Tables
from bridge_assets.nbi.flags import FLAGS, SEPARATOR

#: Component -> column of int_inspections and item.
COMPONENTS = {
    "deck": ("deck_rating_058", "DECK_COND_058"),
    "superstructure": ("superstructure_rating_059", "SUPERSTRUCTURE_COND_059"),
    "substructure": ("substructure_rating_060", "SUBSTRUCTURE_COND_060"),
    "culvert": ("culvert_rating_062", "CULVERT_COND_062"),
}

#: Items of the last record that the page shows as facts, with their names for readers.
FACTS = {
    "YEAR_BUILT_027": "Built",
    "YEAR_RECONSTRUCTED_106": "Reconstructed",
    "STRUCTURE_KIND_043A": "Material",
    "STRUCTURE_TYPE_043B": "Design",
    "OWNER_022": "Owner",
    "MAINTENANCE_021": "Maintained by",
    "OPEN_CLOSED_POSTED_041": "Open, posted, closed",
    "FUNCTIONAL_CLASS_026": "Functional class",
    "STRUCTURE_LEN_MT_049": "Length (m)",
    "MAX_SPAN_LEN_MT_048": "Longest span (m)",
    "MAIN_UNIT_SPANS_045": "Spans",
    "DECK_AREA": "Deck area (m²)",
    "ADT_029": "Vehicles per day",
    "PERCENT_ADT_TRUCK_109": "Of them trucks (%)",
    "DETOUR_KILOS_019": "Detour (km)",
    "SCOUR_CRITICAL_113": "Scour",
    "CHANNEL_COND_061": "Channel",
    "WATERWAY_EVAL_071": "Waterway",
    "INSPECT_FREQ_MONTHS_091": "Inspected every (months)",
    "INVENTORY_RATING_066": "Inventory rating (t)",
    "SUFFICIENCY_RATING": "Sufficiency rating",
}

#: Columns of the records over the years.
_RECORD_COLUMNS = (
    "survey_year",
    "file",
    "line_number",
    "inspection_date",
    "condition",
    "condition_class",
    *(item for _, item in COMPONENTS.values()),
    "OPEN_CLOSED_POSTED_041",
    "ADT_029",
    "flags",
    "unparsed",
)


@dataclass(frozen=True, slots=True)
class Bridge:
    """What is known about one bridge; a part whose table is missing is None, and named in `missing`.

    Attributes
    ----------
    key : str
    records : list of dict
        Rows of raw_bridges, the last year first; more than one of a year if it was reported more than once.
    latest : dict
        The whole record of the last year.
    outlook : dict or None
        Row of mart_bridge_outlook, with the reasons.
    inspections : list of dict
        Rows of int_inspections, ascending.
    scores : list of dict
        survey_year, fall_probability, model_version of bridge_predictions, ascending.
    outlook_years : dict or None
        The last row of years_until_poor.
    work : list of dict
        Rises of components, with the evidence of work.
    former_keys : list of dict
        Rows of renumbered_structures to or from this key.
    missing : list of MissingTableError
        One for each table that could not be read.
    """

    key: str
    records: list[Row]
    latest: Row
    outlook: Row | None = None
    inspections: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
    poor_within: Row | None = None
    work: list[Row] = field(default_factory=list)
    former_keys: list[Row] = field(default_factory=list)
    missing: list[MissingTableError] = field(default_factory=list)

    @property
    def flags(self) -> list[Row]:
        """The data flags of the records: name, meaning, and the survey years."""
        years: dict[str, list[int]] = {}
        for record in self.records:
            for name in filter(None, (record["flags"] or "").split(SEPARATOR)):
                years.setdefault(name, []).append(record["survey_year"])
        return [
            {"name": name, "meaning": FLAGS[name].meaning if name in FLAGS else "", "years": sorted(set(found))}
            for name, found in years.items()
        ]


def find_bridge(tables: Tables, key: str) -> Bridge | None:
    """Everything about a bridge; None if no survey year has a record of it.

    Raises
    ------
    MissingTableError
        If raw_bridges cannot be read. Any other missing table leaves its part empty.
    """
    columns = ", ".join(f'"{name}"' for name in _RECORD_COLUMNS)
    records = tables.rows(
        f"select {columns} from {{raw_bridges}} where structure_key = ? order by survey_year desc, line_number", [key]
    )
    if not records:
        return None
    last = records[0]
    latest = tables.rows(
        f"select * from {{raw_bridges:{last['survey_year']}}} where structure_key = ? order by line_number limit 1",
        [key],
    )
    problems: list[MissingTableError] = []

    def optional(sql: str, *parameters: object) -> list[Row]:
        try:
            return tables.rows(sql, parameters)
        except MissingTableError as error:
            problems.append(error)
            return []

    outlook = optional(f"select * from {{{OUTLOOK}}} where structure_key = ?", key)
    poor_within = optional(
        "select * from {years_until_poor} where structure_key = ? order by survey_year desc limit 1", key
    )
    return Bridge(
        key=key,
        records=records,
        latest=latest[0] if latest else last,
        outlook=outlook[0] if outlook else None,
        inspections=optional("select * from {int_inspections} where structure_key = ? order by inspection_date", key),
        scores=optional(
            "select survey_year, fall_probability, years_until_poor, model_version from {bridge_predictions} "
            "where structure_key = ? order by survey_year",
            key,
        ),
        poor_within=poor_within[0] if poor_within else None,
        work=optional("select * from {fct_component_rises} where structure_key = ? order by inspection_date desc", key),
        former_keys=optional(
            "select * from {renumbered_structures} where old_structure_key = ? or new_structure_key = ?", key, key
        ),
        missing=problems,
    )


def similar_bridges(tables: Tables, key: str, count: int) -> list[Row]:
    """The bridges of the same state, material and kind whose condition, age, length and traffic are nearest.

    The distance adds up: points of condition, decades of age, and doublings of length and of traffic.

    Returns
    -------
    list of dict
        structure_key, facility_carried, features_intersected, location, year_built, length_m, adt, condition,
        condition_class, fall_probability, years_until_poor (of mart_bridge_outlook); the nearest first.
    """
    if count == 0:
        return []
    try:
        return tables.rows(
            f"""
            with structures as (
                select structure_key, material_043a, is_culvert, year_built_027, length_m_049, adt_029, last_condition
                from {{dim_structures}} where state_code = $1
            ),
            own as (select * from structures where structure_key = $2)
            select outlook.*, each.length_m_049 as length_m
            from {{{OUTLOOK}}} as outlook
            join structures as each using (structure_key)
            join own on each.material_043a is not distinct from own.material_043a
                and each.is_culvert is not distinct from own.is_culvert
            where outlook.state_code = $1 and outlook.structure_key != $2
            order by
                coalesce(abs(outlook.condition - own.last_condition), 9)
                + coalesce(abs(outlook.year_built - own.year_built_027) / 10, 9)
                + coalesce(abs(log2(1 + greatest(each.length_m_049, 0)) - log2(1 + greatest(own.length_m_049, 0))), 9)
                + coalesce(abs(log2(1 + greatest(outlook.adt, 0)) - log2(1 + greatest(own.adt_029, 0))), 9),
                outlook.structure_key
            limit $3
            """,
            [key[:2], key, count],
        )
    except MissingTableError:
        return []


def near_keys(tables: Tables, key: str, count: int = 5) -> list[str]:
    """Keys that differ little from one that is unknown, of the last survey year."""
    from bridge_assets.data.records.near_keys import near_keys as nearest

    year = tables.last_year("raw_bridges")
    state = key[:2]
    keys = tables.rows(f"select structure_key from {{raw_bridges:{year}}} where structure_key like ?", [f"{state}-%"])
    return list(nearest(key, [row["structure_key"] for row in keys]))[:count]
