"""Compares the records of a survey year with those of a revised file: how many were added, removed and changed."""

from __future__ import annotations

from collections.abc import Iterator
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
        Parquet files with the columns of `BRIDGE_SCHEMA`.
    """
    old, new = _hashes(earlier), _hashes(revised)
    old_only, new_only = old.join(new, on=["hash", "n"], how="anti"), new.join(old, on=["hash", "n"], how="anti")
    if old_only.is_empty() and new_only.is_empty():
        return RecordChanges(before=old.height)
    before, after = _records(earlier, old_only), _records(revised, new_only)
    pairs = before.select(_KEY).join(after.select(_KEY), on=_KEY, how="inner", nulls_equal=True)
    examples = pairs.sort(_KEY).head(_EXAMPLES)
    return RecordChanges(
        before=old.height,
        added=after.height - pairs.height,
        removed=before.height - pairs.height,
        changed=pairs.height,
        examples=tuple(_describe(*each) for each in _matching(examples, before, after)),
    )


def _hashes(records: Path) -> pl.DataFrame:
    """The hash of each record with its row; `n` counts equal records, so that a duplicate is missed once."""
    hashed = pl.scan_parquet(records).select(hash=pl.struct(_ITEMS).hash(seed=0)).collect()
    return hashed.with_row_index("row").with_columns(n=pl.int_range(pl.len()).over("hash"))


def _records(records: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """The records in some rows of a file; `n` counts those with the same key."""
    table = pl.scan_parquet(records, row_index_name="row").select("row", "structure_key", *_ITEMS)
    chosen = table.join(rows.lazy().select("row"), on="row", how="semi").collect().sort("row")
    return chosen.with_columns(n=pl.int_range(pl.len()).over("structure_key", "RECORD_TYPE_005A"))


def _matching(
    keys: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame
) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    for key in keys.iter_rows(named=True):
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(value)) for name, value in key.items())
        yield before.filter(same).row(0, named=True), after.filter(same).row(0, named=True)


def _describe(old: dict[str, object], new: dict[str, object]) -> str:
    differing = [f"{name} {_shown(old[name])} -> {_shown(new[name])}" for name in _ITEMS if old[name] != new[name]]
    more = f" and {len(differing) - _EXAMPLES} more items" if len(differing) > _EXAMPLES else ""
    return f"{old['structure_key']}: {', '.join(differing[:_EXAMPLES])}{more}"


def _shown(value: object) -> str:
    return "blank" if value is None else str(value)
