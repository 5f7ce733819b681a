"""Computes features for training, batch scoring and single requests with the same code; and the pandas functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from bridge_assets.data.features.base import Feature
from bridge_assets.data.features.climate import normals_text
from bridge_assets.data.features.coast import coastline_text
from bridge_assets.data.features.definitions import (
    FEATURE_NAMES,
    FEATURES,
    all_feature_expressions,
    feature_expressions,
    record_columns,
)
from bridge_assets.data.features.history import HISTORY_COLUMNS
from bridge_assets.data.features.normalization import Normalization
from bridge_assets.data.features.peers import PeerRates, peer_fall_rates, peer_groups
from bridge_assets.data.features.record import ENVIRONMENT, TRAFFIC
from bridge_assets.data.records.structures import one_record_per_structure
from bridge_assets.errors import SourceError
from bridge_assets.markdown import Markup, table
from bridge_assets.storage import json_digest

if TYPE_CHECKING:
    import pandas as pd

    from bridge_assets.data.lake import Lake

#: Rows up to which columns are computed without planning a query. A chosen limit: the records of a request.
FEW_ROWS = 1000

#: Columns that identify a row of build_bridge_features.
ID_COLUMNS = ("structure_key", "survey_year", "inspection_date", "STATE_CODE_001")


def features_digest() -> str:
    """Digest of the feature definitions: 12 hexadecimal digits. A model only accepts features with its own digest.

    It covers names, units and versions, and the tables of climate and coast. Expressions are not included, because
    polars prints them differently between releases.
    """
    definitions = [(feature.name, feature.unit, feature.version) for feature in FEATURES]
    return json_digest([definitions, normals_text(), coastline_text()])[:12]


def current_feature_provenance(lake: Lake) -> dict[int, dict[str, Any]]:
    """The provenance of bridge_features by survey year, after checking that all of it is up to date.

    Raises
    ------
    SourceError
        If the features of a year were computed from records, or by definitions, that have since changed.
    """
    provenance_by_year = {
        year: lake.provenance("bridge_features", year) for year in lake.available_years("bridge_features")
    }
    for year, provenance in provenance_by_year.items():
        why = None
        if provenance["raw_bridges"] != lake.digest("raw_bridges", year):
            why = f"raw_bridges of {year} has changed since"
        elif provenance["features_digest"] != features_digest():
            why = "The feature definitions have changed since"
        if why:
            raise SourceError(
                f"the features of {year} are out of date",
                where=lake.year_path("bridge_features", year),
                why=why,
                do=f"build the features of {year} again",
                stage="bridge_features",
            )
    return provenance_by_year


def condition_history(transitions: pl.LazyFrame) -> pl.DataFrame:
    """The history columns that `build_bridge_features` needs, sorted, for all survey years.

    Parameters
    ----------
    transitions : pl.LazyFrame
        fct_condition_transitions: one row per inspection. Only columns known at the time of the inspection are used.
    """
    history_columns = [pl.col(name).cast(dtype) for name, dtype in HISTORY_COLUMNS.items()]
    history = transitions.select("structure_key", pl.col("survey_year").cast(pl.Int16), *history_columns).collect()
    key, year = pl.col("structure_key"), pl.col("survey_year")
    out_of_order = (key < key.shift()) | ((key == key.shift()) & (year < year.shift()))
    # The warehouse already writes this order: checking it costs a tenth of sorting.
    return history.sort("structure_key", "survey_year") if history.select(out_of_order.any()).item() else history


def build_bridge_features(
    records: pl.LazyFrame, history: pl.DataFrame, outcomes: pl.DataFrame, survey_year: int
) -> pl.DataFrame:
    """The features of every bridge of one survey year, or of any selection of its records.

    Parameters
    ----------
    records : pl.LazyFrame
        raw_bridges of that year, or part of it: no row depends on another.
    history : pl.DataFrame
        `condition_history` of the inspections of any years; later ones are ignored.
    outcomes : pl.DataFrame
        `peers.peer_outcomes` of any years; those that became known later are ignored.
    survey_year : int

    Returns
    -------
    pl.DataFrame
        One row per structure with a condition: `ID_COLUMNS`, then `FEATURE_NAMES` as Float32, sorted by structure key.
        The history is that of the latest inspection of the structure in the files up to this year; null without one.
    """
    is_latest = pl.col("structure_key").ne_missing(pl.col("structure_key").shift(-1))
    latest = history.lazy().filter(pl.col("survey_year") <= survey_year).filter(is_latest).drop("survey_year")
    rated = one_record_per_structure(records).filter(pl.col("condition").is_not_null())
    bridges = rated.select(input_columns()).collect()
    # The history is joined to the keys alone, so that the columns of the record are not copied.
    past = bridges.lazy().select("structure_key").join(latest, "structure_key", "left", maintain_order="left").collect()
    rates = peer_fall_rates(outcomes, survey_year)
    return features_of_records(bridges, past.drop("structure_key"), rates).sort("structure_key")


def input_columns() -> list[str]:
    """The columns of raw_bridges that `features_of_records` reads."""
    return [*ID_COLUMNS, "inspected_in_future", *(name for name in record_columns() if name not in ID_COLUMNS)]


def features_of_records(bridges: pl.DataFrame, history: pl.DataFrame, rates: PeerRates) -> pl.DataFrame:
    """The features of records with a condition; of a whole survey year or of the records of a request.

    Parameters
    ----------
    bridges : pl.DataFrame
        `input_columns`.
    history : pl.DataFrame
        `HISTORY_COLUMNS` of the same rows.
    rates : PeerRates
        As known in their survey year.

    Returns
    -------
    pl.DataFrame
        `ID_COLUMNS`, then `FEATURE_NAMES` as Float32, in the order of the rows.
    """
    # An inspection date after the survey year cannot be right, so it is ignored, as in int_inspections.
    past_inspection_date = (
        pl.when(~pl.col("inspected_in_future")).then(pl.col("inspection_date")).alias("inspection_date")
    )
    bridges = bridges.hstack(history).with_columns(past_inspection_date)
    peers = bridges.select(peer_groups(pl.col("STATE_CODE_001"), pl.col("STRUCTURE_KIND_043A")))
    bridges = bridges.with_columns(rates.fall_rate(peers))
    columns = [*map(pl.col, ID_COLUMNS), *all_feature_expressions()]
    # Planning a query takes longer than the few rows of a request do; of a survey year, shared parts are computed once.
    return bridges.select_seq(columns) if bridges.height <= FEW_ROWS else bridges.lazy().select(columns).collect()


def training_inspections(features: pl.LazyFrame, transitions: pl.LazyFrame) -> pl.DataFrame:
    """Inspections with a known outcome, with the features of the survey year that first reported them.

    Parameters
    ----------
    features : pl.LazyFrame
        build_bridge_features of all years.
    transitions : pl.LazyFrame
        fct_condition_transitions; censored inspections (outcome not known) are left out.

    Returns
    -------
    pl.DataFrame
        structure_key, survey_year, inspection_date, next_survey_year, fall (Boolean), then the features.
    """
    known = transitions.filter(pl.col("fall").is_not_null()).select(
        "structure_key",
        pl.col("survey_year").cast(pl.Int16),
        "inspection_date",
        pl.col("next_survey_year").cast(pl.Int16),
        "fall",
    )
    return (
        known.join(
            features.drop("inspection_date", "STATE_CODE_001"),
            on=["structure_key", "survey_year"],
            how="inner",
            validate="1:1",
        )
        .sort("structure_key", "survey_year")
        .collect(engine="streaming")
    )


def add_traffic_features(df: pd.DataFrame) -> pd.DataFrame:
    """Add the traffic features (`data.features.TRAFFIC`) to a table of bridge data, as float32 columns."""
    return _with_features(df, TRAFFIC)


def add_env_features(df: pd.DataFrame) -> pd.DataFrame:
    """Add the environmental features (`data.features.ENVIRONMENT`) to a table of bridge data, as float32 columns."""
    return _with_features(df, ENVIRONMENT)


def normalize(df: pd.DataFrame, normalization: Normalization | None = None) -> pd.DataFrame:
    """Normalise the feature columns of a table.

    Parameters
    ----------
    df : pd.DataFrame
        A table with feature columns; other columns are unchanged.
    normalization : Normalization, optional
        The normalisation of a model version. By default, one is fitted to this table: fine for exploring, wrong for
        scoring.
    """
    table = pl.from_pandas(df)
    if normalization is None:
        normalization = Normalization.fit(table, [name for name in FEATURE_NAMES if name in table.columns])
    return normalization.transform(table).to_pandas()


def _with_features(df: pd.DataFrame, features: tuple[Feature, ...]) -> pd.DataFrame:
    added = pl.from_pandas(df).select(feature_expressions(features)).to_pandas()
    return df.assign(**{name: added[name].to_numpy() for name in added.columns})


def features_markdown() -> str:
    """All feature definitions as a Markdown table, one row per feature."""
    rows = [(feature.name, feature.unit, feature.source, Markup(feature.reason)) for feature in FEATURES]
    return table(("feature", "unit", "NBI items and tables", "why"), rows)
