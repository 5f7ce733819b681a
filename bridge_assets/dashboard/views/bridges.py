"""The inspection list: search, filter, sort, page, download. All of it is in the address, so a list can be shared."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge_assets.dashboard import component
from bridge_assets.dashboard.address_widgets import PAGE, choice, number, text
from bridge_assets.dashboard.queries.bridges import (
    OUTLOOK,
    SORTS,
    BridgeFilter,
    Page,
    bridge_page,
    download,
    list_states,
)
from bridge_assets.dashboard.queries.tables import MissingTableError, Row
from bridge_assets.dashboard.session import cached, dashboard_settings, tables
from bridge_assets.reporting.wording import count
from bridge_assets.reporting.wording import state as state_name
from bridge_assets.scoring.batch import LISTS

_ANY = ""


def show() -> None:
    """Draw the page."""
    import streamlit as st

    component.show("bridges_head.html", key="head")
    try:
        states = cached((OUTLOOK,), list_states)
        wanted = _filters(states)
        page: Page = cached(
            (OUTLOOK,), bridge_page, wanted, number(PAGE), dashboard_settings().components.rows_per_page
        )
    except MissingTableError as error:
        return component.missing(error, "bridges")
    _, first_descending = SORTS[wanted.sort]
    component.show(
        "bridges.html",
        key="list",
        actions={"sort": _sort, "page": _turn_page},
        page=Page(with_years_text(page.rows), page.total, page.number, page.pages, page.first),
        sort=wanted.sort,
        descending=first_descending if wanted.descending is None else wanted.descending,
        dagster=dashboard_settings().dagster,
    )
    if page.total:
        _downloads(st, wanted, page.total)
    return None


def _filters(states: list[str]) -> BridgeFilter:
    import streamlit as st

    search, state, condition_class, listed_as = st.columns([2.2, 1.2, 1, 1.4])
    with search:
        words = text("Search", "q", placeholder="Road, river, place or structure number", type="search")
    with state:
        chosen = choice("State", [_ANY, *states], "state", format_func=_or("All states", state_name))
    with condition_class:
        in_class = choice("Class", [_ANY, "Good", "Fair", "Poor"], "class", format_func=_or("Any", str))
    with listed_as:
        on_list = choice("List", [_ANY, *LISTS], "list", format_func=_or("Any", str))
    sort = st.query_params.get("sort", "rank")
    return BridgeFilter(
        search=words,
        state=chosen,
        condition_class=in_class,
        listed_as=on_list,
        sort=sort if sort in SORTS else "rank",
        descending={"desc": True, "asc": False}.get(st.query_params.get("order", "")),
    )


def _or(none: str, text: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: none if value == _ANY else text(value)


def _turn_page(value: str) -> None:
    import streamlit as st

    st.query_params[PAGE] = value


def _sort(name: str) -> None:
    """Sort by a column; by the same one again: the other way round."""
    import streamlit as st

    query = st.query_params
    if name not in SORTS:
        return
    first_descending = SORTS[name][1]
    if query.get("sort", "rank") == name:
        now_descending = query.get("order", "desc" if first_descending else "asc") == "desc"
        query["order"] = "asc" if now_descending else "desc"
    else:
        query["order"] = "desc" if first_descending else "asc"
    query["sort"] = name
    query.pop(PAGE, None)


def with_years_text(rows: list[Row]) -> list[Row]:
    """The rows with `years_text`: years until Poor in the words of the reports."""
    import polars as pl

    from bridge_assets.models.survival.store import format_years
    from bridge_assets.scoring.years_until_poor import YEARS_COLUMNS

    if not rows:
        return []
    schema = {"condition": pl.Int8, "years_until_poor_horizon": pl.Int16}
    names = ["condition", *YEARS_COLUMNS]
    table = pl.DataFrame(
        {name: pl.Series([row.get(name) for row in rows], dtype=schema.get(name, pl.Float64)) for name in names}
    )
    texts = format_years(table.rename(YEARS_COLUMNS))
    return [
        {**row, "years_text": years, "interval_text": interval}
        for row, years, interval in zip(rows, texts["expected_years"], texts["interval_years"], strict=True)
    ]


def _downloads(st: Any, wanted: BridgeFilter, total: int) -> None:
    limit = dashboard_settings().components.download_rows
    if total > limit:
        st.caption(f"{count(total)} bridges are too many to download at once (limit {count(limit)}): filter first.")
        return
    source = tables()
    st.caption(f"Download all {count(total)} bridges of this list, in this order:")
    with st.container(horizontal=True):
        for label, suffix, mime in (
            ("CSV", "csv", "text/csv"),
            ("Parquet", "parquet", "application/vnd.apache.parquet"),
        ):
            st.download_button(
                f"Download {label}",
                data=lambda suffix=suffix: _file(source, wanted, suffix),
                file_name=f"inspection_list.{suffix}",
                mime=mime,
                on_click="ignore",
                key=f"download-{suffix}",
            )


def _file(source: Any, wanted: BridgeFilter, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"list.{suffix}")
        download(source, wanted, path)
        return path.read_bytes()
