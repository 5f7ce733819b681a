"""Condition over the years: by number of structures and by deck area, over all states and by state."""

from __future__ import annotations

from bridge_assets.dashboard.queries.tables import Row, Tables
from bridge_assets.reporting.html.charts import shares_by_year, stacked_shares
from bridge_assets.reporting.wording import has_value

#: The table without predictions is enough for everything but the expected falls.
WITH_SCORES, WITHOUT_SCORES = "mart_condition_by_year", "fct_condition_by_year"

#: State -> all of them together, in the tables.
ALL_STATES = "all"

CLASSES = ("Good", "Fair", "Poor")


def condition_by_year(tables: Tables) -> list[Row]:
    """The rows of `mart_condition_by_year`, or of `fct_condition_by_year` before anything was scored.

    Raises
    ------
    MissingTableError
        If neither exists.
    """
    if tables.has(WITH_SCORES):
        return tables.rows(f"select * from {{{WITH_SCORES}}} order by survey_year, state_code")
    return tables.rows(
        "select *, 0 as scored, cast(null as double) as mean_fall_probability, 0 as drifted_features "
        f"from {{{WITHOUT_SCORES}}} order by survey_year, state_code"
    )


def states_of(rows: list[Row]) -> list[str]:
    """The state codes of the table, ascending, without `all`."""
    return sorted({row["state_code"] for row in rows} - {ALL_STATES})


def figures(rows: list[Row], state_code: str, *, by_area: bool) -> Row:
    """What the page shows of one state, or of all.

    Parameters
    ----------
    rows : list of dict
        Of `condition_by_year`.
    state_code : str
        Of item 1, or `all`.
    by_area : bool
        Weigh each structure by its deck area.

    Returns
    -------
    dict
        latest (row of the last year), previous_year, classes (name, share, the share by the other weight, change since
        the previous year), expected_falls, class_chart, falls_chart (None if nothing was compared), states.
    """
    own = [row for row in rows if row["state_code"] == state_code]
    latest, previous = own[-1], own[-2] if len(own) > 1 else None
    years = [row["survey_year"] for row in own]
    shares = {name: [share_of(row, name, by_area=by_area) for row in own] for name in ("Poor", "Fair", "Good")}
    falls = {
        "Observed": [row["fall_rate"] for row in own],
        "Expected": [row["mean_fall_probability"] for row in own],
    }
    span = f"{years[0]} to {years[-1]}" if len(years) > 1 else str(years[0])
    any_falls = any(has_value(value) for values in falls.values() for value in values)
    states = [row for row in rows if row["survey_year"] == latest["survey_year"] and row["state_code"] != ALL_STATES]
    return {
        "by_area": by_area,
        "latest": latest,
        "previous_year": previous and previous["survey_year"],
        "classes": [_class(name, latest, previous, by_area) for name in CLASSES],
        "expected_falls": latest["mean_fall_probability"] * latest["scored"]
        if latest["scored"] and has_value(latest["mean_fall_probability"])
        else None,
        "class_chart": stacked_shares(f"Share that is Poor, Fair and Good, {span}", years, shares),
        "falls_chart": shares_by_year(f"Share of bridges whose rating falls, {span}", years, falls)
        if any_falls
        else None,
        "states": sorted(
            ({**row, "shares": [(name, share_of(row, name, by_area=by_area)) for name in CLASSES]} for row in states),
            key=lambda row: (-(row["shares"][2][1] or 0.0), row["state_code"]),
        ),
    }


def share_of(row: Row, name: str, *, by_area: bool) -> float | None:
    """The share of a class, of structures or of deck area."""
    return row[f"{name.lower()}_area_share"] if by_area else row[f"share_{name.lower()}"]


def _class(name: str, latest: Row, previous: Row | None, by_area: bool) -> Row:
    share = share_of(latest, name, by_area=by_area)
    before = share_of(previous, name, by_area=by_area) if previous else None
    return {
        "name": name,
        "share": share,
        "other": share_of(latest, name, by_area=not by_area),
        "change": share - before if has_value(share) and has_value(before) else None,
    }
