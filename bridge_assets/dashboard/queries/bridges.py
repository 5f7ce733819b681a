"""The inspection list: search, filter, sort and page through `mart_bridge_outlook`, all in the query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bridge_assets.dashboard.queries.tables import Row, Tables
from bridge_assets.scoring.batch import LISTS

OUTLOOK = "mart_bridge_outlook"

#: Name in the address -> column, and whether its first order is descending. The order of looking comes first.
SORTS: dict[str, tuple[str, bool]] = {
    "rank": ("look_first_rank", False),
    "probability": ("fall_probability", True),
    "years": ("years_until_poor", False),
    "condition": ("condition", False),
    "traffic": ("adt", True),
    "built": ("year_built", False),
    "inspected": ("inspection_date", False),
    "name": ("facility_carried", False),
}

#: Columns of a page of the list.
_SHOWN = """structure_key, survey_year, state_code, county_code, facility_carried, features_intersected, location,
    year_built, adt, posting, condition, condition_class, inspection_date, fall_probability, state_fall_probability,
    rank_in_state, look_first_rank, listed_as, rank_in_list, target, years_until_poor, years_until_poor_low,
    years_until_poor_high, years_until_poor_horizon"""

#: What is searched, in one text.
_SEARCHED = "concat_ws(' ', structure_key, facility_carried, features_intersected, location)"

#: Text that agencies wrote.
_TEXTS = ("facility_carried", "features_intersected", "location")

_CLASSES = ("Good", "Fair", "Poor")


@dataclass(frozen=True, slots=True)
class BridgeFilter:
    """Which bridges, in which order.

    Attributes
    ----------
    search : str
        Words that must all be in the name, the features below, the location or the key; upper and lower case alike.
    state : str
        Two-digit code of item 1; empty = every state.
    condition_class : str
        Good, Fair or Poor; empty = any, also none.
    listed_as : str
        One of `scoring.batch.LISTS`; empty = any.
    sort : str
        A key of `SORTS`; anything else counts as the first.
    descending : bool or None
        None = the order that `SORTS` names.
    """

    search: str = ""
    state: str = ""
    condition_class: str = ""
    listed_as: str = ""
    sort: str = "rank"
    descending: bool | None = None

    def where(self) -> tuple[str, list[object]]:
        """The condition and its parameters."""
        parts, values = ["true"], []
        for word in self.search.split():
            parts.append(f"contains(lower({_SEARCHED}), lower(?))")
            values.append(word)
        for column, value, allowed in (
            ("condition_class", self.condition_class, _CLASSES),
            ("listed_as", self.listed_as, LISTS),
        ):
            if value in allowed:
                parts.append(f"{column} = ?")
                values.append(value)
        if self.state:
            parts.append("state_code = ?")
            values.append(self.state)
        return " and ".join(parts), values

    def order(self) -> str:
        """The order; what has no value comes last, and equal ones by key, so that pages do not overlap."""
        column, first_descending = SORTS.get(self.sort, SORTS["rank"])
        descending = first_descending if self.descending is None else self.descending
        return f"{column} {'desc' if descending else 'asc'} nulls last, structure_key"


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of the list.

    Attributes
    ----------
    rows : list of dict
    total : int
        Bridges that the filter lets through.
    number, pages : int
        From 1 on.
    """

    rows: list[Row]
    total: int
    number: int
    pages: int
    first: int


def bridge_page(tables: Tables, wanted: BridgeFilter, number: int, rows_per_page: int) -> Page:
    """One page of the list; a page beyond the last one is the last one. Raises MissingTableError."""
    where, values = wanted.where()
    total = tables.rows(f"select count(*) as total from {{{OUTLOOK}}} where {where}", values)[0]["total"]
    pages = max(1, -(-total // rows_per_page))
    number = min(max(1, number), pages)
    first = (number - 1) * rows_per_page
    # The keys first, so that only the rows that are shown are carried through the order with all their columns.
    keys = f"select structure_key from {{{OUTLOOK}}} where {where} order by {wanted.order()} limit ? offset ?"
    rows = tables.rows(
        f"select {_SHOWN} from {{{OUTLOOK}}} where structure_key in ({keys}) order by {wanted.order()}",
        [*values, rows_per_page, first],
    )
    return Page(rows, total, number, pages, first)


def list_states(tables: Tables) -> list[str]:
    """The state codes of the list, ascending."""
    return [row["state_code"] for row in tables.rows(f"select distinct state_code from {{{OUTLOOK}}} order by 1")]


def download(tables: Tables, wanted: BridgeFilter, path: Path) -> None:
    """Write all bridges of the filter, in its order, into a file ending in `.csv` or `.parquet`.

    In CSV the reasons are left out (Parquet keeps them), and text that a spreadsheet would run as a formula gets an
    apostrophe in front.
    """
    where, values = wanted.where()
    if path.suffix == ".parquet":
        tables.copy(
            f"select * from {{{OUTLOOK}}} where {where} order by {wanted.order()}", path, "format parquet", values
        )
        return
    safe = ", ".join(
        f"case when {name} similar to '[=+@\t\r-].*' then concat('''', {name}) else {name} end as {name}"
        for name in _TEXTS
    )
    tables.copy(
        f"select * exclude (reasons) replace ({safe}) from {{{OUTLOOK}}} where {where} order by {wanted.order()}",
        path,
        "format csv, header true",
        values,
    )
