"""The data quality measures of a survey year, the rules for duplicates, and the items that must have a value.

Belongs here: declarations. Does not belong here: the counting (`summary`) and the definitions of the flags
(`nbi.flag_rules`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from bridge_assets.nbi.coding_guide.items import ITEMS

ALL_STATES = "all"

#: Name under which a measure counts the records with at least one flag, or at least one unparsed number.
ANY = "any"

SUMMARY_SCHEMA = pl.Schema(
    {
        "survey_year": pl.Int16(),
        "state": pl.String(),
        "measure": pl.String(),
        "name": pl.String(),
        "records": pl.Int64(),
        "of": pl.Int64(),
        "share": pl.Float64(),
    }
)


@dataclass(frozen=True, slots=True)
class Measure:
    """A count: its meaning, the values of the column `name`, and the denominator of its share."""

    meaning: str
    name_values: str
    denominator: str


#: Measure -> definition, in the order of the summary.
MEASURES = {
    "rows": Measure("Rows of the source file", "read, loaded, rejected, on_structure (record type 1)", "read"),
    "rejected": Measure("Rows that were not loaded", "reason code", "read"),
    "flag": Measure(
        "Records that contradict themselves, the Coding Guide or the survey year", "flag, or any", "loaded"
    ),
    "unparsed": Measure("Records with a numeric item that could not be parsed", "item, or any", "loaded"),
    "missing": Measure("Records of type 1 without a value; only items of the file layout", "item", "on_structure"),
    "duplicate": Measure(
        "Records of type 1 set aside because another record of the same structure counts", "rule", "on_structure"
    ),
    "padding_variant": Measure(
        "Records of type 1 whose structure number is written in several ways in the same year", "rule", "on_structure"
    ),
}

#: Rule -> its measure and its meaning. The rules are those of `structures.one_record_per_structure`.
DUPLICATE_RULES = {
    "later_inspection": (
        "duplicate",
        "Another record of the structure has a later inspection date (item 90); that one counts",
    ),
    "earlier_line": (
        "duplicate",
        "Another record has the same inspection date and an earlier line; that one counts",
    ),
    "file_name": (
        "duplicate",
        "Another record has the same inspection date and line, in a file whose name sorts first; that one counts",
    ),
    "leading_zeros": (
        "padding_variant",
        "Item 8 is written with different leading zeros within one year; it is the same structure",
    ),
}

#: Items that the Coding Guide allows to be blank, or that are no longer coded: a blank is not missing.
OPTIONAL_ITEMS = frozenset(
    {
        "CRITICAL_FACILITY_006B", "LRS_INV_ROUTE_013A", "SUBROUTE_NO_013B", "WORK_PROPOSED_075A", "WORK_DONE_BY_075B",
        "IMP_LEN_MT_076", "FRACTURE_LAST_DATE_093A", "UNDWATER_LAST_DATE_093B", "SPEC_LAST_DATE_093C",
        "BRIDGE_IMP_COST_094", "ROADWAY_IMP_COST_095", "TOTAL_IMP_COST_096", "YEAR_OF_IMP_097", "OTHER_STATE_CODE_098A",
        "OTHER_STATE_PCNT_098B", "OTHR_STATE_STRUC_NO_099", "TEMP_STRUCTURE_103", "YEAR_RECONSTRUCTED_106",
        "PIER_PROTECTION_111", "MIN_NAV_CLR_MT_116",
    }
)  # fmt: skip

#: Items of the Coding Guide that must have a value.
REQUIRED_ITEMS = tuple(item.name for item in ITEMS if item.number and item.name not in OPTIONAL_ITEMS)
