"""Data quality: every count of `data_quality`, and the rejected rows with file, line and text."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bridge_assets.dashboard.queries.tables import MissingTableError, Row, Tables

if TYPE_CHECKING:
    import polars as pl

SUMMARY, REJECTED = "data_quality", "rejected_records"


def quality_summary(tables: Tables) -> pl.DataFrame:
    """The table `data_quality` of all survey years. Raises MissingTableError."""
    import polars as pl

    return cast("pl.DataFrame", pl.from_arrow(tables.arrow(f"select * from {{{SUMMARY}}}")))


def rejected_page(tables: Tables, survey_year: int | None, reason: str, number: int, rows_per_page: int) -> Row:
    """Rejected rows, the last survey year first.

    Returns
    -------
    dict
        rows (survey_year, file, line_number, reason, detail, line), total, number, pages, first.
    """
    where, values = ["true"], []
    if survey_year is not None:
        where.append("survey_year = ?")
        values.append(survey_year)
    if reason:
        where.append("reason = ?")
        values.append(reason)
    condition = " and ".join(where)
    try:
        total = tables.rows(f"select count(*) as total from {{{REJECTED}}} where {condition}", values)[0]["total"]
        pages = max(1, -(-total // rows_per_page))
        number = min(max(1, number), pages)
        first = (number - 1) * rows_per_page
        rows = tables.rows(
            f"select survey_year, file, line_number, reason, detail, line from {{{REJECTED}}} where {condition} "
            "order by survey_year desc, file, line_number limit ? offset ?",
            [*values, rows_per_page, first],
        )
    except MissingTableError as error:
        return {"rows": [], "total": 0, "number": 1, "pages": 1, "first": 0, "error": error}
    return {"rows": rows, "total": total, "number": number, "pages": pages, "first": first, "error": None}
