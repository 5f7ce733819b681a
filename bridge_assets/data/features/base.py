"""What a feature is, and the expressions that several of them need."""

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
        The NBI items it is made from, and the tables.
    reason : str
        Why it should say something about deterioration.
    expression : pl.Expr
        Computes it from a record with the columns of `HISTORY_COLUMNS` and `PEERS_FALL_RATE`; numeric or Boolean.
    version : int
        Raise it with every change of the expression that changes a value. Models are only used with features of the
        versions that they were trained on (`build.features_digest`). The expression cannot serve for that: how polars
        prints one changes between releases.
    """

    name: str
    unit: str
    source: str
    reason: str
    expression: pl.Expr
    version: int = 1


def log10_plus_one(item: str) -> pl.Expr:
    """Logarithm of 1 more than an item, so that 0 has one too."""
    return (non_negative(item) + 1).log10()


def non_negative(item: str) -> pl.Expr:
    """An item, null where it is negative."""
    return pl.when(pl.col(item) >= 0).then(pl.col(item))


def has_code(item: str, *codes: str) -> pl.Expr:
    """Whether an item has one of some codes, written without leading zeros."""
    # `1` and `01` are one code; no item that is asked here has more than two digits.
    return pl.col(item).is_in([form for code in codes for form in dict.fromkeys((code, code.zfill(2)))])


def years_since(year: pl.Expr) -> pl.Expr:
    """Years from a year to the survey year; null where it is no year, or a later one."""
    age = pl.col("survey_year").cast(pl.Int32) - year
    return pl.when((year > 1600) & (age >= 0)).then(age)
