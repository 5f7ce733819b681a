"""The columns of the sheet of bridges and of the map layer: their order, names in words, types and meanings.

A column that mart_bridge_outlook has too is described there; those that are added here are described here.
"""

from __future__ import annotations

from collections.abc import Iterable

from bridge_assets.data.table_columns import Column

#: Column -> its name in words, in the order of the sheet: where it is, which to inspect first, why, then the record.
TITLES = {
    "source": "Source",
    "state": "State",
    "state_code": "State code",
    "county": "County",
    "county_code": "County code",
    "look_first_rank": "Look-first rank in the state",
    "listed_as": "List",
    "rank_in_list": "Rank in its list",
    "structure_key": "Structure",
    "facility_carried": "Facility carried",
    "features_intersected": "Features intersected",
    "location": "Location",
    "condition": "Condition",
    "condition_class": "Condition class",
    "inspection_date": "Inspected",
    "fall_probability": "Probability of a lower rating",
    "state_fall_probability": "Mean probability of the state",
    "rank_in_state": "Probability rank in the state",
    "why": "Why",
    "lowered_by": "What lowers the risk",
    "years_until_poor_in_words": "Years until Poor",
    "years_until_poor": "Years until Poor, expected",
    "years_until_poor_low": "Years until Poor, lower end",
    "years_until_poor_high": "Years until Poor, upper end",
    "years_until_poor_horizon": "Horizon of years until Poor",
    "adt": "Vehicles a day",
    "year_built": "Year built",
    "owner": "Owner code",
    "owner_name": "Owner",
    "material": "Material code",
    "material_name": "Material",
    "design": "Design code",
    "design_name": "Design",
    "posting": "Posting code",
    "posting_name": "Open, posted or closed",
    "latitude": "Latitude",
    "longitude": "Longitude",
    "survey_year": "Survey year",
    "target": "Predicted outcome",
    "model_version": "Model version",
    "page": "Page of the bridge",
}

#: Columns that the sheet adds to mart_bridge_outlook.
ADDED = {
    column.name: column
    for column in (
        Column("source", "varchar", "Survey file of the bridge; `sample (invented bridges)` for the generated sample."),
        Column("state", "varchar", "Name of the state."),
        Column(
            "county", "varchar", "Name of the county (US Census Bureau, 2017); empty if the code is not in that list."
        ),
        Column(
            "why",
            "varchar",
            "What raises the probability most, in words, with percentage points; empty if not explained.",
        ),
        Column("lowered_by", "varchar", "What lowers the probability most, in words, with percentage points."),
        Column(
            "years_until_poor_in_words",
            "varchar",
            "`Poor now`, `12.3`, `> 60` beyond the horizon, `>= 34.2` if only the upper end is beyond it.",
        ),
        Column("owner_name", "varchar", "Meaning of the owner code (item 22)."),
        Column("material_name", "varchar", "Meaning of the material code (item 43A)."),
        Column("design_name", "varchar", "Meaning of the design code (item 43B)."),
        Column("posting_name", "varchar", "Meaning of the code of open, posted or closed (item 41)."),
        Column("page", "varchar", "Address of the bridge's page; empty if no dashboard is configured."),
    )
}


def sheet_columns(outlook: Iterable[Column]) -> tuple[Column, ...]:
    """The columns of the sheet, in order.

    Parameters
    ----------
    outlook : iterable of Column
        The columns of mart_bridge_outlook. `reasons` becomes `why` and `lowered_by`.
    """
    known = {column.name: column for column in outlook} | ADDED
    return tuple(known[name] for name in TITLES)


def dictionary_rows(columns: Iterable[Column]) -> list[dict[str, str]]:
    """The data dictionary: a row for each column with its name, name in words, type, unit and meaning."""
    return [
        {
            "column": column.name,
            "name": TITLES[column.name],
            "type": column.type,
            "unit": column.unit,
            "meaning": column.meaning,
        }
        for column in columns
    ]
