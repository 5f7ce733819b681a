"""Detects states that recoded an item: codes that changed although nobody looked at the bridges.

A bridge deteriorates between two inspections, and its inspection says so. If the codes of an item move from one survey
year to the next on bridges whose inspection date is still the same, or change on nearly all bridges of a state at once,
it is the coding practice that changed: another guide (from 2026 the SNBI), another table in the state's system, a
corrected column. Such a change is named after the state and never taken for deterioration.

Belongs here: the comparison of the same bridges in two consecutive years. Does not belong here: the comparison with the
reference years (`codes`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from bridge_assets.drift.codes import CODE, code_text

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.settings import DriftSettings

#: (inspected anew, code before, code after) -> bridges.
Moves: TypeAlias = "Counter[tuple[bool, str, str]]"

#: Values of `measure`: how far the shares of the codes moved on bridges without a new inspection, and the share of all
#: bridges whose code changed.
MOVED, CHANGED = "moved_without_inspection", "changed_at_once"

#: Value of `cause`.
RECODED = "recoded"

#: Changes of codes that are named in a row.
_MAX_CHANGES = 3

#: A change of the coding guide if at least this share of the compared states recoded an item in the same year.
NATIONWIDE_SHARE = 0.5

#: First survey year that is submitted under the Specifications for the National Bridge Inventory (FHWA-HIF-22-017),
#: due in March 2026.
FIRST_SNBI_YEAR = 2026


def recoding_rows(
    previous: pl.DataFrame, current: pl.DataFrame, survey_year: int, items: Sequence[str], settings: DriftSettings
) -> list[dict[str, Any]]:
    """The rows of drift_report about recoding: one for each state and item whose codes changed at all, and measure.

    Parameters
    ----------
    previous, current : pl.DataFrame
        `codes.coded_records` of two consecutive survey years.
    survey_year : int
        That of `current`.
    items : sequence of str
        An item without a single code in one of the years is left out: the layout lacks it.
    settings : DriftSettings
        A state with fewer than `state_rows` bridges to look at gives no row.

    Returns
    -------
    list of dict
        As `numbers.compare_column`; `cause` names the largest changes of codes of a state that recoded.
    """
    pairs = _pairs(previous, current, items)
    rows = []
    for item in items:
        for state, moves in sorted(_moves_by_state(pairs, item).items()):
            rows += _state_rows(state, item, moves, survey_year, settings)
    return rows


def recoded_items(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Item -> states that recoded it, in order, from `recoding_rows`."""
    found: dict[str, set[str]] = {}
    for row in rows:
        if row["measure"] in (MOVED, CHANGED) and row["drifted"]:
            found.setdefault(row["feature"], set()).add(row["state"])
    return {item: sorted(states) for item, states in sorted(found.items())}


def _pairs(previous: pl.DataFrame, current: pl.DataFrame, items: Sequence[str]) -> pl.DataFrame:
    """Structures of both years: state, `inspected` (anew, or at an unknown date), each item and its previous code."""
    import polars as pl

    before = previous.select("structure_key", "inspection_date", *items)
    date, old_date = pl.col("inspection_date"), pl.col("inspection_date_before")
    return current.join(before, on="structure_key", how="inner", suffix="_before").with_columns(
        (date != old_date).fill_null(True).alias("inspected")
    )


def _moves_by_state(pairs: pl.DataFrame, item: str) -> dict[str, Moves]:
    """State -> how often each code became which; empty if no code changed, or a year has no code at all."""
    import polars as pl

    old = f"{item}_before"
    if not pairs.height or pairs[item].null_count() == pairs.height or pairs[old].null_count() == pairs.height:
        return {}
    if pairs.select(pl.col(old).eq_missing(pl.col(item)).all()).item():
        return {}
    found: dict[str, Moves] = {}
    for state, inspected, before, after, rows in (
        pairs.group_by("state", "inspected", old, item).agg(pl.len()).iter_rows()
    ):
        found.setdefault(state, Counter())[inspected, code_text(before), code_text(after)] += rows
    return found


def _state_rows(state: str, item: str, moves: Moves, survey_year: int, settings: DriftSettings) -> list[dict[str, Any]]:
    changed = Counter[tuple[str, str]]()
    for (_, before, after), rows in moves.items():
        if before != after:
            changed[before, after] += rows
    if not changed:
        return []
    total, uninspected = moves.total(), sum(rows for (inspected, *_), rows in moves.items() if not inspected)
    measured = [
        (MOVED, _total_variation(moves, uninspected), settings.recoded, uninspected),
        (CHANGED, changed.total() / total, settings.recoded_together, total),
    ]
    return [
        {
            "survey_year": survey_year,
            "kind": CODE,
            "feature": item,
            "state": state,
            "measure": name,
            "value": value,
            "threshold": threshold,
            "drifted": value > threshold,
            "cause": f"{RECODED}: {_largest_changes(changed)}" if value > threshold else "",
            "reference_rows": bridges,
            "year_rows": bridges,
        }
        for name, value, threshold, bridges in measured
        if bridges >= settings.state_rows
    ]


def _total_variation(moves: Moves, uninspected: int) -> float:
    """How far the shares of the codes moved on bridges without a new inspection: changes to and fro cancel out."""
    net = Counter[str]()
    for (inspected, before, after), rows in moves.items():
        if not inspected:
            net[after] += rows
            net[before] -= rows
    return sum(abs(rows) for rows in net.values()) / 2 / uninspected if uninspected else 0.0


def _largest_changes(changed: Counter[tuple[str, str]]) -> str:
    """`2 to 5 (310 bridges), 3 to 6 (12)`."""
    ordered = sorted(changed.items(), key=lambda each: (-each[1], each[0]))
    texts = [
        f"{before} to {after} ({rows:,}{' bridges' if number == 0 else ''})"
        for number, ((before, after), rows) in enumerate(ordered[:_MAX_CHANGES])
    ]
    more = len(ordered) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")
