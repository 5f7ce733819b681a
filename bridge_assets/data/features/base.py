"""The Feature class, and expressions that several features share."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the model.

    Attributes
    ----------
    name : str
    unit : str
    source : str
        The NBI items and tables that it is computed from.
    reason : str
        Why it should help to predict deterioration.
    expression : pl.Expr
        Computes it from a record with the columns of `HISTORY_COLUMNS` and `PEERS_FALL_RATE`; numeric or Boolean.
    version : int
        Increase it with every change of the expression that changes a value. Models are only used with the feature
        versions that they were trained on (`build.features_digest`). The printed expression cannot serve as a version,
        because polars prints expressions differently between releases.
    """

    name: str
    unit: str
    source: str
    reason: str
    expression: pl.Expr
    version: int = 1


def log10_plus_one(item: str) -> pl.Expr:
    """log10 of an item plus 1, so that 0 is allowed."""
    return (non_negative(item) + 1).log10()


def non_negative(item: str) -> pl.Expr:
    """An item; null if it is negative."""
    return pl.when(pl.col(item) >= 0).then(pl.col(item))


def has_code(item: str, *codes: str) -> pl.Expr:
    """Whether an item has one of the given codes, which are written without leading zeros."""
    # `1` and `01` are the same code; no item used here has more than two digits.
    return pl.col(item).is_in([form for code in codes for form in dict.fromkeys((code, code.zfill(2)))])


def years_since(year: pl.Expr) -> pl.Expr:
    """Years from a year to the survey year; null if the year is invalid or after the survey year."""
    age = pl.col("survey_year").cast(pl.Int32) - year
    return pl.when((year > 1600) & (age >= 0)).then(age)
