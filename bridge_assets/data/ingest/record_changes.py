"""Compares the records of a survey year with those of a revised file: how many were added, removed and changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bridge_assets.nbi.delimited.records import RECORD_SCHEMA

#: The items that are compared; not where a record stands, nor what is derived from it.
_ITEMS = [name for name in RECORD_SCHEMA if name != "line_number"]

#: What a record is about. A structure may have several: one for each route under it.
_KEY = ["structure_key", "RECORD_TYPE_005A", "n"]

#: Changed records that a message gives as examples.
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class RecordChanges:
    """How the records of a revised file differ from earlier ones.

    Attributes
    ----------
    before, added, removed, changed : int
        Numbers of records: all earlier ones; those about a structure or route that only the revised file, or only the
        earlier one, has; and those of which at least one item is different.
    examples : tuple of str
        Such as `02-000123: SUPERSTRUCTURE_COND_059 9 -> 3`.
    """

    before: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    examples: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether any record differs."""
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        examples = f" ({'; '.join(self.examples)})" if self.examples else ""
        return (
            f"{self.changed:,} of {self.before:,} records changed{examples}, {self.added:,} were added and "
            f"{self.removed:,} removed"
        )


def compare_records(earlier: Path, revised: Path) -> RecordChanges:
    """Compare two files of raw_bridges record by record, whatever their order and the names of their source files.

    Parameters
    ----------
    earlier, revised : Path
        Parquet files with the columns of `BRIDGE_SCHEMA`. Of a national year, only keys and hashes are held in memory.
    """
    old, new = _hashes(earlier), _hashes(revised)
    before, after = _without(old, new), _without(new, old)
    pairs = before.join(after, on=_KEY, how="inner", nulls_equal=True, suffix="_after").sort(_KEY)
    first = pairs.head(_EXAMPLES)
    examples = zip(_rows(earlier, first["row"]), _rows(revised, first["row_after"]), strict=True)
    return RecordChanges(
        before=old.height,
        added=after.height - pairs.height,
        removed=before.height - pairs.height,
        changed=pairs.height,
        examples=tuple(_describe(*each) for each in examples),
    )


def _hashes(records: Path) -> pl.DataFrame:
    """Row, key and hash of each record; `same` counts equal records, so that a duplicate is missed once."""
    hashed = pl.scan_parquet(records, row_index_name="row").select(
        "row", "structure_key", "RECORD_TYPE_005A", hash=pl.struct(_ITEMS).hash(seed=0)
    )
    table = hashed.collect(engine="streaming").sort("row")
    return table.with_columns(same=pl.int_range(pl.len()).over("hash"))


def _without(records: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The records that are not among others; `n` counts those with the same key."""
    only = records.join(others, on=["hash", "same"], how="anti", maintain_order="left")
    return only.with_columns(n=pl.int_range(pl.len()).over("structure_key", "RECORD_TYPE_005A"))


def _rows(records: Path, rows: pl.Series) -> list[dict[str, object]]:
    """Some rows of a file, in the order given."""
    table = pl.scan_parquet(records, row_index_name="row").filter(pl.col("row").is_in(rows.to_list())).collect()
    found = {row["row"]: row for row in table.iter_rows(named=True)}
    return [found[row] for row in rows]


def _describe(old: dict[str, object], new: dict[str, object]) -> str:
    differing = [f"{name} {_shown(old[name])} -> {_shown(new[name])}" for name in _ITEMS if old[name] != new[name]]
    more = f" and {len(differing) - _EXAMPLES} more items" if len(differing) > _EXAMPLES else ""
    return f"{old['structure_key']}: {', '.join(differing[:_EXAMPLES])}{more}"


def _shown(value: object) -> str:
    return "blank" if value is None else str(value)
