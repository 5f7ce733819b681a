"""The columns of every table that Python writes: name, type, unit and meaning, and what a row is.

The one source of the column schemas in the UI (`orchestration.metadata.table_schemas`), of the metadata inside the
Parquet files (`Lake.write`) and of the data dictionary beside the sheet. The dbt models declare theirs in the YAML
files of `dbt_project/models`, where dbt enforces them; only their units are here. Types are DuckDB's, in which
the warehouse and its readers see the Parquet files. A test compares every schema with the real files.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from bridge_assets.data.listed_features import listed_features
from bridge_assets.nbi import schema as nbi_schema
from bridge_assets.storage import TableNotes

SHARE = "0 to 1"

#: Unit of a column, by name; the same in every table. Codes, counts, years of the calendar and ratings have none.
UNITS = {
    "adt": "vehicles/day",
    "adt_029": "vehicles/day",
    "auc": SHARE,
    "auc_high": SHARE,
    "auc_low": SHARE,
    "brier": SHARE,
    "bytes": "B",
    "change": "points",
    "deck_area_m2": "m²",
    "deck_width_m_052": "m",
    "expected_auc": SHARE,
    "expected_auc_of_scored": SHARE,
    "expected_brier": SHARE,
    "expected_change": "points",
    "expected_worst_10": SHARE,
    "expected_years": "years",
    "exposure_months": "months",
    "fair_area_share": SHARE,
    "fall_probability": SHARE,
    "fall_rate": SHARE,
    "good_area_share": SHARE,
    "high_years": "years",
    "horizon_years": "years",
    "latitude": "deg",
    "length_m_049": "m",
    "longitude": "deg",
    "low_years": "years",
    "mean_fall_probability": SHARE,
    "median_years": "years",
    "months_to_next": "months",
    "nhs_area_m2": "m²",
    "nhs_good_area_share": SHARE,
    "nhs_poor_area_share": SHARE,
    "peak_memory_mb": "MB",
    "poor_area_share": SHARE,
    "poor_within_2_years": SHARE,
    "poor_within_4_years": SHARE,
    "poor_within_8_years": SHARE,
    "poor_within_horizon": SHARE,
    "seconds": "s",
    "seconds_into_step": "s",
    "share": SHARE,
    "share_appeared": SHARE,
    "share_fair": SHARE,
    "share_good": SHARE,
    "share_matched": SHARE,
    "share_poor": SHARE,
    "share_vanished": SHARE,
    "state_fall_probability": SHARE,
    "worst_10": SHARE,
    "years_in_condition": "years",
    "years_in_rating": "years",
    "years_until_poor": "years",
    "years_until_poor_high": "years",
    "years_until_poor_horizon": "years",
    "years_until_poor_low": "years",
}


class Column(NamedTuple):
    """A column: name, DuckDB type, meaning, and its unit if `UNITS` has none for the name."""

    name: str
    type: str
    meaning: str
    unit: str = ""


STRUCTURE_KEY = Column("structure_key", "varchar", "State code and structure number without padding: one bridge.")
SURVEY_YEAR = Column("survey_year", "smallint", "Year of the NBI file.")
INSPECTION_DATE = Column("inspection_date", "date", "Item 90 as the first day of its month.")
CONDITION = Column("condition", "tinyint", "Lowest rating of items 58, 59, 60 and 62: 0 (failed) to 9 (excellent).")
MODEL_VERSION = Column("model_version", "varchar", "Version of the model that gave these values.")
FEATURES_DIGEST = Column("features_digest", "varchar", "Digest of the feature definitions that the values depend on.")

REJECTED_RECORDS = (
    Column("file", "varchar", "Name of the source file."),
    Column("line_number", "uinteger", "Line in that file; the header is line 1."),
    Column("reason", "varchar", "Reason code, such as field_count, one_sided_quote or no_key."),
    Column("detail", "varchar", "What exactly was wrong, such as the number of fields."),
    Column("line", "varchar", "The row as it is in the file."),
    SURVEY_YEAR,
)

DATA_QUALITY = (
    SURVEY_YEAR,
    Column("state", "varchar", "State, two-digit FIPS code; `all` for all states together."),
    Column("measure", "varchar", "What is counted: rows, rejected, flag, unparsed, missing, duplicate, ..."),
    Column("name", "varchar", "Which flag, item, reason code or rule; `any` for records with at least one."),
    Column("records", "bigint", "Number of records or rows."),
    Column("of", "bigint", "Number of records or rows that `share` refers to."),
    Column("share", "double", "records / of; null if `of` is 0."),
)

YEARS_UNTIL_POOR = (
    STRUCTURE_KEY,
    SURVEY_YEAR,
    INSPECTION_DATE,
    CONDITION,
    Column("expected_years", "float", "Mean years until Poor if no work is done; null beyond the horizon."),
    Column("low_years", "float", "Lower end of the interval; null beyond the horizon."),
    Column("median_years", "float", "Median years until Poor; null beyond the horizon."),
    Column("high_years", "float", "Upper end of the interval; null beyond the horizon: then at least low_years."),
    Column("poor_within_2_years", "float", "Probability of being Poor within 2 years."),
    Column("poor_within_4_years", "float", "Probability of being Poor within 4 years."),
    Column("poor_within_8_years", "float", "Probability of being Poor within 8 years."),
    Column("poor_within_horizon", "float", "Probability of being Poor within the horizon."),
    Column("horizon_years", "smallint", "The horizon; `survival` in model_config.yaml."),
    MODEL_VERSION,
    FEATURES_DIGEST,
)

DRIFT_REPORT = (
    SURVEY_YEAR,
    Column("period", "varchar", "reference, analysis, or outside both: what the settings make of the survey year."),
    Column("kind", "varchar", "What is compared: feature, prediction, code (of a coded item) or schema (a column)."),
    Column("feature", "varchar", "The feature, the prediction, the coded item or the column."),
    Column("state", "varchar", "State, two-digit FIPS code; `all` for all states together."),
    Column("measure", "varchar", "How the year is compared: kolmogorov_smirnov, total_variation, missing_share, ..."),
    Column("value", "double", "How far the year is from the reference years; null if a side has no value."),
    Column("threshold", "double", "Above it the year has drifted: how much the reference years differ."),
    Column("error_threshold", "double", "Above it the drift of predictions is an ERROR; null for all others."),
    Column("drifted", "boolean", "Whether the value exceeds the threshold."),
    Column("cause", "varchar", "Why, where it is known: the states or codes that were recoded; what was not compared."),
    Column("reference_mean", "double", "Mean in the reference years, in the unit of the feature; share if missing."),
    Column("year_mean", "double", "Mean in the survey year, in the unit of the feature; share of missing values."),
    Column("reference_rows", "bigint", "Bridges of the reference years, once for each year; or bridges compared."),
    Column("year_rows", "bigint", "Bridges of the survey year."),
    MODEL_VERSION,
)

REALISED_QUALITY = (
    Column("survey_year", "smallint", "Year of the NBI file that was scored."),
    MODEL_VERSION,
    Column("target", "varchar", "The predicted outcome: fall, poor, fall of deck, ..."),
    Column("training_until", "smallint", "Last survey year that the model was trained on; up to it nothing is judged."),
    Column("published_at", "timestamp", "When the scores were published first, UTC; they are never computed again."),
    Column("verdict", "varchar", "as expected, worse, much worse; or why not judged: training year, too few outcomes."),
    Column("scored", "bigint", "Number of bridges that were scored."),
    Column("expected_auc_of_scored", "double", "AUC that their probabilities let one expect, before any outcome."),
    Column("outcomes", "bigint", "Number of them whose next inspection is known by now."),
    Column("falls", "bigint", "Number of those at which the outcome occurred."),
    Column("expected_falls", "double", "Number that the probabilities let one expect."),
    Column("falls_low", "double", "Fewer are found in 1 of 200 years if the probabilities are right."),
    Column("falls_high", "double", "More are found in 1 of 200 years if the probabilities are right."),
    Column("auc", "double", "Realised AUC: how often a bridge that fell ranks above one that did not."),
    Column("expected_auc", "double", "AUC that the probabilities of the same bridges let one expect."),
    Column("auc_low", "double", "It is lower in 1 of 200 years if the probabilities are right."),
    Column("auc_high", "double", "It is higher in 1 of 200 years if the probabilities are right."),
    Column("brier", "double", "Realised Brier score: mean squared distance of probability and outcome."),
    Column("expected_brier", "double", "Brier score that the probabilities let one expect."),
    Column("worst_10", "double", "Share of the falls that was among the tenth with the highest probability."),
    Column("expected_worst_10", "double", "Share that the probabilities let one expect."),
)

#: No asset of its own: bridge_predictions keeps it.
PUBLISHED_SCORES = (
    STRUCTURE_KEY,
    INSPECTION_DATE,
    CONDITION,
    Column("prediction", "float", "Probability of the target, or expected change of the rating in points."),
    Column("target", "varchar", "The predicted outcome: fall, poor, fall of deck, ...; or change."),
    MODEL_VERSION,
    Column("training_until", "smallint", "Last survey year that the model was trained on."),
    Column("published_at", "timestamp", "When the scores were published first, UTC."),
)

_REASONS = 'struct(feature varchar, "value" float, contribution float)[]'

#: Table -> what a row is.
ROWS = {
    "raw_bridges": "One row for each record of an NBI file, as published, with the columns derived from it.",
    "rejected_records": "One row for each row of a source file that was not loaded.",
    "data_quality": "One row for each count of a survey year and a state.",
    "bridge_features": "One row for each bridge of a survey year: what the model sees, in natural units.",
    "training_set": "One row for each inspection with a known next one: standardised features, and the outcome.",
    "years_until_poor": "One row for each bridge of a survey year: years until its condition is Poor without work.",
    "bridge_predictions": "One row for each bridge of a survey year: its prediction, its ranks and the reasons.",
    "drift_report": "One row for each comparison of a survey year with the reference years.",
    "realised_quality": "One row for each survey year and model version: published scores against what was found.",
    "published_scores": "One row for each bridge and model version: its score as it was published first.",
}


def columns_of_tables(task: str) -> dict[str, tuple[Column, ...]]:
    """Table -> its columns, in order, each with its unit.

    Parameters
    ----------
    task : str
        `task` of model_config.yaml. A regression adds its own columns.
    """
    tables = {
        "raw_bridges": tuple(
            Column(each.name, each.kind, each.description, each.unit) for each in nbi_schema.columns()
        ),
        "rejected_records": REJECTED_RECORDS,
        "data_quality": DATA_QUALITY,
        "bridge_features": _bridge_features(),
        "training_set": _training_set(task),
        "years_until_poor": YEARS_UNTIL_POOR,
        "bridge_predictions": _bridge_predictions(task),
        "drift_report": DRIFT_REPORT,
        "realised_quality": REALISED_QUALITY,
    }
    return {
        name: columns if name == "raw_bridges" else tuple(_with_unit(column) for column in columns)
        for name, columns in tables.items()
    }


def notes_of_table(name: str) -> TableNotes | None:
    """What is written into the Parquet file of a table: what a row is, and meaning and unit of each column. None for a
    table that is not described here.
    """
    return _notes().get(name)


def described(columns: Mapping[str, str], row: str) -> TableNotes:
    """The notes of a dbt model.

    Parameters
    ----------
    columns : mapping
        Name -> meaning, as the model declares them.
    row : str
        What a row is.
    """
    return TableNotes(row, {name: (meaning, UNITS.get(name, "")) for name, meaning in columns.items()})


@cache
def _notes() -> dict[str, TableNotes]:
    either = {
        task: columns_of_tables(task) | {"published_scores": PUBLISHED_SCORES}
        for task in ("regression", "classification")
    }
    return {
        name: TableNotes(
            ROWS[name],
            {column.name: (column.meaning, column.unit) for tables in either.values() for column in tables[name]},
        )
        for name in ROWS
    }


def _with_unit(column: Column) -> Column:
    return column._replace(unit=column.unit or UNITS.get(column.name, ""))


def _bridge_features() -> tuple[Column, ...]:
    return (
        STRUCTURE_KEY,
        SURVEY_YEAR,
        INSPECTION_DATE,
        Column("STATE_CODE_001", "varchar", "Item 1. State, FIPS code."),
        *(
            Column(each.name, "float", f"{each.reason}. Source: {each.source}.", each.unit)
            for each in listed_features()
        ),
    )


def _training_set(task: str) -> tuple[Column, ...]:
    change = Column("change", "float", "Points by which the rating changed at the next inspection: the label.")
    return (
        STRUCTURE_KEY,
        SURVEY_YEAR,
        INSPECTION_DATE,
        Column("next_survey_year", "smallint", "Survey year in which the outcome became known."),
        Column("fall", "boolean", "Whether the outcome of `target` in model_config.yaml occurred; by default a drop."),
        *(
            Column(each.name, "float", f"Standardised with the training rows. {each.reason}.", "standard deviations")
            for each in listed_features()
        ),
        Column("rating", "float", "Rating at the inspection, for the baselines: 0 to 9."),
        Column("years_in_rating", "float", "Years in that rating so far, for the baselines."),
        Column("is_now", "boolean", "Whether the outcome already holds at the inspection, for the baselines."),
        Column(
            "becomes_poor", "boolean", "Whether the next rating is 4 or less; null for a bridge that is Poor already."
        ),
        *((change,) if task == "regression" else ()),
        Column("split", "varchar", "train, holdout or unused."),
    )


def _bridge_predictions(task: str) -> tuple[Column, ...]:
    probability = Column(
        "fall_probability",
        "float",
        "Null: a regression predicts no probability."
        if task == "regression"
        else "Probability of the target at the next inspection.",
    )
    change = Column("expected_change", "float", "Expected change of the rating at the next inspection.")
    ranks = (
        Column("rank_in_state", "integer", "1 for the highest probability (largest expected loss) in the state."),
        Column("look_first_rank", "integer", "1 for the bridge to inspect first: probability times consequence."),
        Column(
            "listed_as", "varchar", "Poor now, Likely to become Poor, or Good, losing a point; null for other ratings."
        ),
        Column("rank_in_list", "integer", "1 for the first bridge of that list in the state."),
    )
    return (
        STRUCTURE_KEY,
        SURVEY_YEAR,
        INSPECTION_DATE,
        CONDITION,
        *((change, *ranks, probability) if task == "regression" else (probability, *ranks)),
        Column("target", "varchar", "The predicted outcome: fall, poor, fall of deck, ...; or change."),
        Column(
            "reasons",
            _REASONS,
            "Three contributions that raise the risk, if any do, and the largest others; first bridges of a list.",
        ),
        Column("years_until_poor", "float", "Expected years until Poor if no work is done; null beyond the horizon."),
        Column("years_until_poor_low", "float", "Lower end of its interval; null beyond the horizon."),
        Column(
            "years_until_poor_high",
            "float",
            "Upper end of its interval; null beyond the horizon: then at least the lower end.",
        ),
        Column("years_until_poor_horizon", "smallint", "The horizon; null if no years were computed."),
        MODEL_VERSION,
        FEATURES_DIGEST,
    )
