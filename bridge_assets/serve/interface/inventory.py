"""Finds bridges by number, name, place and county, and their records and inspections, in the tables of the lake."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake

#: Bridges that a search shows. A chosen limit: more than a person reads.
MAX_FOUND = 50

#: Characters and words of a search. Chosen limits.
_MAX_TEXT, _MAX_WORDS = 200, 8

_NAMES = ("facility_carried_007", "features_intersected_006a", "location_009")


@dataclass(frozen=True)
class FoundBridge:
    """A bridge that a search found.

    Attributes
    ----------
    key : str
    label : str
        Such as `25-B16123: MAIN ST over MILL BROOK, Worcester (Massachusetts, county 027)`.
    """

    key: str
    label: str


@dataclass(frozen=True)
class Inventory:
    """The bridges in the lake."""

    lake: Lake

    def search(self, text: str, limit: int = MAX_FOUND) -> tuple[list[FoundBridge], int]:
        """Bridges whose number, names, place, state or county has every word of a text, best first, and how many.

        A bridge whose number is a word of the text comes first; then by key. Raises SourceError if there is no table.
        """
        import polars as pl

        words = text[:_MAX_TEXT].lower().split()[:_MAX_WORDS]
        table = self._bridges
        if words:
            has_all = pl.all_horizontal(pl.col("text").str.contains(word, literal=True) for word in words)
            is_key = pl.any_horizontal(pl.col("text").str.starts_with(f"{word} ") for word in words)
            numbers = pl.any_horizontal(pl.col("number") == word for word in words)
            table = table.filter(has_all).sort(~(is_key | numbers), "structure_key")
        rows = table.head(limit).select("structure_key", "state_code", "county_code_003", *_NAMES)
        return [FoundBridge(row["structure_key"], _label(row)) for row in rows.iter_rows(named=True)], table.height

    def describe(self, key: str) -> str:
        """The label of a bridge; its key if it has none."""
        import polars as pl

        rows = self._bridges.filter(pl.col("structure_key") == key)
        return _label(rows.row(0, named=True)) if rows.height else key

    def inspections(self, key: str) -> list[dict[str, Any]]:
        """The inspections of a bridge, oldest first: date, condition and the rating of each component."""
        import polars as pl

        columns = ("inspection_date", "condition", "^.*_rating_0..$", "renewal")
        table = self.lake.scan("int_inspections").filter(pl.col("structure_key") == key).select(pl.col(*columns))
        return table.sort("inspection_date").collect().to_dicts()

    def raw_record(self, key: str, survey_year: int) -> dict[str, Any]:
        """The record of a bridge in a file, without blank items; empty if it has none."""
        import polars as pl

        from bridge_assets.data.records.structures import one_record_per_structure

        scan = self.lake.scan_year("raw_bridges", survey_year).filter(pl.col("structure_key") == key)
        rows = one_record_per_structure(scan).collect()
        if rows.is_empty():
            return {}
        return {
            name: value
            for name, value in rows.row(0, named=True).items()
            if name in ITEMS_BY_NAME and value is not None
        }

    @cached_property
    def _bridges(self) -> pl.DataFrame:
        import polars as pl

        from bridge_assets.nbi.coding_guide.codes import STATE_NAMES

        key, county = pl.col("structure_key"), pl.col("county_code_003")
        texts = [key, *_NAMES, pl.col("state_code").replace(dict(STATE_NAMES)), pl.format("county {}", county)]
        return (
            self.lake.scan("dim_structures")
            .select("structure_key", "state_code", "county_code_003", *_NAMES)
            .with_columns(
                pl.concat_str(texts, separator=" ", ignore_nulls=True).str.to_lowercase().alias("text"),
                key.str.slice(3).str.to_lowercase().alias("number"),
            )
            .sort("structure_key")
            .collect()
        )


def _label(row: dict[str, Any]) -> str:
    from bridge_assets.reporting.wording import state

    carried, crossed, place = ((row[name] or "").strip() for name in _NAMES)
    names = f"{carried or 'unnamed'} over {crossed}" if crossed else carried or "unnamed"
    county = f", county {row['county_code_003']}" if row["county_code_003"] else ""
    return f"{row['structure_key']}: {names}{f', {place}' if place else ''} ({state(row['state_code'])}{county})"
