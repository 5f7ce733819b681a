"""Builds drift_report: a survey year compared with the reference years, feature by feature, state by state.

Belongs here: which tables of the lake are compared, and the schema of the table. Does not belong here: the comparison
itself (`numbers`, `codes`, `recoding`, `schema`), and writing the table (the asset).

Columns are read one after the other, so that the memory does not grow with the number of features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.drift import limits
from bridge_assets.drift.codes import coded_records, compare_item, compared_items, count_codes
from bridge_assets.drift.numbers import ALL_STATES, FEATURE, PREDICTION, NumberColumn, compare_column, count_by_state
from bridge_assets.drift.recoding import recoded_items, recoding_rows
from bridge_assets.drift.schema import describe_year, schema_rows

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.drift.periods import Periods

Row = dict[str, Any]


@dataclass(frozen=True)
class ServedPredictions:
    """Whose predictions are compared.

    Attributes
    ----------
    model_version : str
        Scores of any other version are not compared: a new model is no drift of the bridges.
    column : str
        See `Task.prediction_column`.
    """

    model_version: str
    column: str


def report_schema() -> pl.Schema:
    """The columns of drift_report; `orchestration.metadata.table_schemas` says what each means."""
    import polars as pl

    number, text = pl.Float64(), pl.String()
    return pl.Schema(
        {
            "survey_year": pl.Int16(),
            "period": text,
            "kind": text,
            "feature": text,
            "state": text,
            "measure": text,
            "value": number,
            "threshold": number,
            "error_threshold": number,
            "drifted": pl.Boolean(),
            "cause": text,
            "reference_mean": number,
            "year_mean": number,
            "reference_rows": pl.Int64(),
            "year_rows": pl.Int64(),
            "model_version": text,
        }
    )


def build_drift_reports(
    lake: Lake, years: Sequence[int], periods: Periods, predictions: ServedPredictions
) -> dict[int, pl.DataFrame]:
    """Compare survey years with the reference years.

    Parameters
    ----------
    lake : Lake
        With bridge_features of all these years; raw_bridges and bridge_predictions as far as they exist.
    years : sequence of int
    periods : Periods
    predictions : ServedPredictions

    Returns
    -------
    dict
        Survey year -> drift_report (`report_schema`), sorted by kind, feature, state and measure.

    Raises
    ------
    SourceError
        If a year has no features.
    """
    rows, recoded = _code_rows(lake, years, periods)
    rows += _schema_rows(lake, years, periods)
    rows += _feature_rows(lake, years, periods, recoded)
    rows += _prediction_rows(lake, years, periods, predictions, recoded)
    return {
        year: _to_table([row for row in rows if row["survey_year"] == year], periods.of(year), predictions)
        for year in years
    }


def _to_table(rows: Sequence[Row], period: str, predictions: ServedPredictions) -> pl.DataFrame:
    import polars as pl

    schema = report_schema()
    same = {"period": period, "model_version": predictions.model_version, "cause": ""}
    table = pl.DataFrame([{**dict.fromkeys(schema), **same, **row} for row in rows], schema=schema)
    return table.sort("kind", "feature", pl.col("state") != ALL_STATES, "state", "measure")


def _feature_rows(
    lake: Lake, years: Sequence[int], periods: Periods, recoded: Mapping[int, Mapping[str, Sequence[str]]]
) -> list[Row]:
    from bridge_assets.data.features.definitions import FEATURE_NAMES

    tables = {year: features_by_state(lake, year) for year in sorted({*periods.reference, *years})}
    rows = []
    for name in FEATURE_NAMES:
        column = NumberColumn(
            name,
            FEATURE,
            count_by_state(tables, name),
            states_that_recoded(recoded, items_of_feature(name)),
        )
        rows += compare_column(column, years, periods)
    return rows


def _prediction_rows(
    lake: Lake,
    years: Sequence[int],
    periods: Periods,
    predictions: ServedPredictions,
    recoded: Mapping[int, Mapping[str, Sequence[str]]],
) -> list[Row]:
    tables = {
        year: table
        for year in sorted({*periods.reference, *years})
        if (table := predictions_by_state(lake, year, predictions)) is not None
    }
    by_year = count_by_state(tables, predictions.column)
    column = NumberColumn(predictions.column, PREDICTION, by_year, states_that_recoded(recoded, None))
    comparable = [year for year in years if year in tables and set(periods.compared_with(year)) & tables.keys()]
    rows = compare_column(column, comparable, periods)
    for year in sorted(set(years) - set(comparable)):
        what = "no reference year was scored" if year in tables else "not scored"
        rows.append(
            {
                "survey_year": year,
                "kind": PREDICTION,
                "feature": predictions.column,
                "state": ALL_STATES,
                "measure": limits.MISSING,
                "drifted": False,
                "cause": f"{what} by model version {predictions.model_version}",
            }
        )
    return rows


def _code_rows(
    lake: Lake, years: Sequence[int], periods: Periods
) -> tuple[list[Row], dict[int, Mapping[str, Sequence[str]]]]:
    """The rows about codes, and survey year -> item -> states that recoded it."""
    available = lake.available_years("raw_bridges")
    previous_year = {year: max((each for each in available if each < year), default=None) for year in years}
    needed = {*periods.reference, *years, *(year for year in previous_year.values() if year)} & set(available)
    items = compared_items()
    by_item: dict[str, dict[int, Any]] = {item: {} for item in items}
    rows, recoded, previous = [], {}, None
    for year in sorted(needed):
        table = coded_records(lake.scan_year("raw_bridges", year))
        if year in years or year in periods.reference:
            for item in items:
                by_item[item][year] = count_codes(table, item)
        if previous is not None and previous[0] == previous_year.get(year):
            found = recoding_rows(previous[1], table, year, items, periods.settings)
            rows, recoded[year] = rows + found, recoded_items(found)
        previous = (year, table)
    for item in items:
        found = compare_item(item, by_item[item], years, periods)
        for row in found:
            states = recoded.get(row["survey_year"], {}).get(item, [])
            if row["drifted"] and (row["state"] in states or (row["state"] == ALL_STATES and states)):
                row["cause"] = f"recoded: {', '.join(states) if row['state'] == ALL_STATES else row['state']}"
        rows += found
    return rows, recoded


def _schema_rows(lake: Lake, years: Sequence[int], periods: Periods) -> list[Row]:
    needed = {*periods.reference, *years} & set(lake.available_years("raw_bridges"))
    schemas = {year: describe_year(lake.scan_year("raw_bridges", year)) for year in sorted(needed)}
    return schema_rows(schemas, years, periods)


def features_by_state(lake: Lake, survey_year: int) -> pl.LazyFrame:
    """bridge_features of a year with the column `state` (two digits). Raises SourceError if the year has none."""
    import polars as pl

    return lake.scan_year("bridge_features", survey_year).with_columns(_state(pl.col("STATE_CODE_001")))


def predictions_by_state(lake: Lake, survey_year: int, predictions: ServedPredictions) -> pl.LazyFrame | None:
    """The prediction of every bridge with features; None if the year was not scored by that model version."""
    import polars as pl

    if survey_year not in lake.available_years("bridge_predictions"):
        return None
    scores = lake.scan_year("bridge_predictions", survey_year)
    if predictions.column not in scores.collect_schema():
        return None
    scores = scores.filter(pl.col("model_version") == predictions.model_version)
    scores = scores.select("structure_key", predictions.column).collect()
    if scores.is_empty():
        return None
    bridges = lake.scan_year("bridge_features", survey_year).select("structure_key", "STATE_CODE_001").collect()
    joined = bridges.join(scores, on="structure_key", how="left")
    return joined.lazy().select(_state(pl.col("STATE_CODE_001")), predictions.column)


def _state(code: pl.Expr) -> pl.Expr:
    return code.str.zfill(2).str.slice(0, 2).alias("state")


def items_of_feature(name: str) -> frozenset[str]:
    """The items from which a feature is computed; for one of the history, the condition ratings."""
    from bridge_assets.data.features.definitions import FEATURES
    from bridge_assets.nbi.coding_guide.items import CONDITION_ITEMS, ITEMS_BY_NAME

    derived = {"is_culvert": ("STRUCTURE_TYPE_043B",), "latitude": ("LAT_016",), "longitude": ("LONG_017",)}
    derived |= {"peers_fall_rate": (*CONDITION_ITEMS, "STRUCTURE_KIND_043A")}
    columns = {column for each in FEATURES if each.name == name for column in each.expression.meta.root_names()}
    items = {item for column in columns for item in derived.get(column, (column,))}
    history = bool(columns - ITEMS_BY_NAME.keys() - derived.keys() - {"survey_year"})
    return frozenset(items & ITEMS_BY_NAME.keys()) | (frozenset(CONDITION_ITEMS) if history else frozenset())


def states_that_recoded(
    recoded: Mapping[int, Mapping[str, Sequence[str]]], items: frozenset[str] | None
) -> dict[int, list[str]]:
    """Survey year -> states that recoded one of the items; None = any item that a feature is computed from."""
    from bridge_assets.data.features.definitions import FEATURE_NAMES

    if items is None:
        items = frozenset().union(*(items_of_feature(name) for name in FEATURE_NAMES))
    return {
        year: sorted({state for item, states in by_item.items() if item in items for state in states})
        for year, by_item in recoded.items()
    }
