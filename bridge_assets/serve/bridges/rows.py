"""The features of structures by key: read from the tables, where batch scoring's own features were packed.

Belongs here: looking structures up, and why a key is unknown. Does not belong here: raw records (`records`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge_assets.serve.requests.request_rows import RequestError

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.runtime.structure_tables import StructureTables

#: Nearest structure numbers in a message. A chosen limit.
_NEAREST = 3

_YEARS_COLUMNS = ("years_until_poor", "years_until_poor_low", "years_until_poor_high")


@dataclass(frozen=True)
class BridgeRows:
    """The bridges of a request, with one value each per row.

    Attributes
    ----------
    features : np.ndarray of shape (n, features of the tables)
        Natural units, float32, NaN = missing.
    keys : list of str or None
        Structure keys; None for a record without a structure number.
    known : list of dict
        What came from the tables.
    assumed : list of list of str
        What was assumed, one sentence each, beside filled features.
    years : list of tuple
        Years until Poor: expected, low, high; None beyond the horizon. Empty if they are not known.
    flags : list of list of str
        Contradictions in the record, one sentence each.
    """

    features: np.ndarray
    keys: list[str | None]
    known: list[dict[str, Any]]
    assumed: list[list[str]]
    years: list[tuple[float | None, ...]] = field(default_factory=list)
    flags: list[list[str]] = field(default_factory=list)


def rows_of_structures(tables: StructureTables, keys: Sequence[str]) -> BridgeRows:
    """Rows of structures by key: the same features as those of batch scoring.

    Raises
    ------
    RequestError
        422 for a key that is not in the tables, or has no condition rating in the last file.
    """
    found = [_row(tables, number, key) for number, key in enumerate(keys)]
    picked = [[tables.table[name][row] for name in ("inspection_date", "inspection_number")] for row in found]
    has_years = bool(tables.info["years_until_poor"]["model_version"])
    years = [tuple(tables.table[name][row] for name in _YEARS_COLUMNS) for row in found] if has_years else []
    return BridgeRows(
        tables.features[found],
        list(keys),
        [known_of(tables, date, inspections) for date, inspections in picked],
        [[] for _ in keys],
        years,
        [[] for _ in keys],
    )


def known_of(tables: StructureTables, last_inspection: dt.date | None, inspections: int | None) -> dict[str, Any]:
    """What the tables know about a structure."""
    return {
        "survey_year": tables.survey_year,
        "last_inspection": None if last_inspection is None else f"{last_inspection:%Y-%m}",
        "inspections": inspections or 0,
    }


def why_unknown_key(tables: StructureTables, key: str) -> str:
    """That a structure is unknown and why, with the nearest numbers of its state."""
    from bridge_assets.data.records.near_keys import near_keys
    from bridge_assets.nbi.coding_guide.codes import STATE_NAMES

    state = STATE_NAMES.get(key[:2], key[:2])
    in_state = tables.keys_of_state(key[:2])
    if not in_state:
        return f"unknown structure {key!r}: the tables have no structure of {state} ({key[:2]})"
    near = near_keys(key, in_state, _NEAREST)
    nearest = f"; nearest: {', '.join(near)}" if near else ""
    return f"unknown structure {key!r}: none of the {len(in_state):,} of {state} ({key[:2]}) has this number{nearest}"


def _row(tables: StructureTables, number: int, key: str) -> int:
    structure = tables.find(key)
    if structure is None:
        raise RequestError(f"structure {number}: {why_unknown_key(tables, key)}", 422)
    if not tables.table["is_scored"][structure.row]:
        year, last = tables.survey_year, structure.last_survey_year
        why = (
            f"its record of {year} has no condition rating (items 58, 59, 60 and 62)"
            if last >= year
            else f"it is not in the file of {year}; the last file that has it is of {last}"
        )
        raise RequestError(f"structure {number}: {key}: {why}", 422)
    return structure.row
