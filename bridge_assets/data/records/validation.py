"""Validates a table of bridge data: problems that make it unusable, and warnings.

Belongs here: checks of a whole table of `BRIDGE_SCHEMA`. Single values are checked by `nbi.flags` and
`nbi.coding_guide.code_check`, whose results are counted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from bridge_assets import markdown
from bridge_assets.data.records.bridges import BRIDGE_SCHEMA
from bridge_assets.data.records.structures import RECORD_KEY
from bridge_assets.nbi.coding_guide.code_check import code_problems
from bridge_assets.nbi.coding_guide.items import CONDITION_ITEMS, ITEMS_BY_NAME
from bridge_assets.nbi.flags import flag_counts

if TYPE_CHECKING:
    import pandas as pd

RATING_CODES = (*map(str, range(10)), "N", "n")

#: The columns that `record_problems` checks.
VALIDATED_COLUMNS = ("structure_key", "survey_year", *CONDITION_ITEMS)


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """The result of validating a table of bridge data.

    Attributes
    ----------
    records : int
    survey_years : dict of int to int
        Survey year -> records.
    problems : tuple of str
        Why it is not valid bridge data, one sentence each.
    warnings : tuple of str
        What to know before using it, one sentence each.
    duplicates : int
        Records of type 1 that share survey year and structure key with another one.
    flags : dict of str to int
        Flag -> records with it.
    missing : dict of str to float
        Column -> share of records without a value, 0 to 1. Complete columns are left out.
    """

    records: int
    survey_years: dict[int, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    duplicates: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """True if there is no problem; warnings do not count."""
        return not self.problems

    def __str__(self) -> str:
        return "\n".join(
            [
                self._headline(),
                *self._section_lines("Problems", self.problems, ""),
                *self._section_lines("Warnings", self.warnings, ""),
            ]
        )

    def to_markdown(self) -> str:
        """The report as a page: headline, problems, warnings, flags, and the columns with gaps."""
        lines = [
            f"**{self._headline()}**",
            *self._section_lines("Problems", map(markdown.escape, self.problems), "\n### "),
            *self._section_lines("Warnings", map(markdown.escape, self.warnings), "\n### "),
        ]
        if self.flags:
            rows = [(flag, f"{count:,}", f"{count / self.records:.2%}") for flag, count in self.flags.items()]
            lines += ["\n### Flags\n", markdown.table(("flag", "records", "share"), rows, align="lrr")]
        if self.missing:
            most_first = sorted(self.missing.items(), key=lambda gap: (-gap[1], gap[0]))
            gaps = [(name, _item_number(name), f"{share:.2%}") for name, share in most_first]
            lines += ["\n### Without a value\n", markdown.table(("column", "item", "share"), gaps, align="llr")]
        return "\n".join(lines) + "\n"

    def _headline(self) -> str:
        years = ", ".join(f"{year}: {count:,}" for year, count in self.survey_years.items())
        answer = "This is bridge data" if self.valid else "This is not bridge data"
        return f"{answer}: {self.records:,} records" + (f" ({years})" if years else "")

    @staticmethod
    def _section_lines(title: str, sentences: Iterable[str], heading: str) -> list[str]:
        gap = "\n" if heading else ":"
        lines = [f"- {sentence}" for sentence in sentences]
        return [f"{heading}{title}{gap}", *lines] if lines else []


def validation_report(df: pd.DataFrame | pl.DataFrame) -> ValidationReport:
    """Validate a table of bridge data.

    Problems are: columns of `BRIDGE_SCHEMA` that are missing or have another type (a code stored as a number has lost
    its leading zeros), no records, records without structure key or survey year, and condition items with a value other
    than a rating of the Coding Guide (0-9, N) or blank. Warnings are: values outside the code list of an item,
    duplicated structures, numbers that could not be parsed, and flags.

    Parameters
    ----------
    df : pd.DataFrame or pl.DataFrame
        As returned by `load_bridge_data`, or a part of it.
    """
    table, problems = (df, []) if isinstance(df, pl.DataFrame) else _from_pandas(df)
    columns = list(df.columns)
    if missing := [name for name in BRIDGE_SCHEMA if name not in columns]:
        problems.insert(0, f"{len(missing)} columns are missing: {_abbreviate(missing)}")
    if not table.height:
        problems.append("the table has no records")
    problems += [*_type_problems(table), *record_problems(table)]
    duplicates = _duplicates(table)
    flags = flag_counts(table["flags"].cast(pl.String)) if "flags" in table.columns else {}
    return ValidationReport(
        records=len(df),
        survey_years=_records_by_year(table),
        problems=tuple(problems),
        warnings=tuple(_warnings(table, duplicates, flags)),
        duplicates=duplicates,
        flags=flags,
        missing={name: table[name].null_count() / table.height for name in table.columns if table[name].null_count()},
    )


def record_problems(table: pl.DataFrame) -> list[str]:
    """Problems in the records of a table, one sentence each; checks those of `VALIDATED_COLUMNS` that it has.

    Every record needs a structure key and a survey year, and every condition item must be a rating or blank.
    """
    problems = []
    for name, what in (("structure_key", "structure key"), ("survey_year", "survey year")):
        if name in table.columns and (without := table[name].null_count()):
            problems.append(f"{without} records have no {what}")
    return problems + _rating_problems(table)


def validation_problems(df: pd.DataFrame | pl.DataFrame) -> list[str]:
    """Why a table is not valid bridge data, one sentence each; empty if it is."""
    return list(validation_report(df).problems)


def validate_bridge_data(df: pd.DataFrame | pl.DataFrame) -> bool:
    """Whether a table is valid bridge data; `validation_report` says why not, and adds warnings."""
    return validation_report(df).valid


def _from_pandas(df: pd.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    import pyarrow as pa

    columns, mixed = [], []
    for name in dict.fromkeys(df.columns):
        if name not in BRIDGE_SCHEMA:
            continue
        values = df[name]
        if values.ndim != 1:
            mixed.append(f"the column {name} occurs twice")
            continue
        try:
            columns.append(pl.from_pandas(values).alias(str(name)))
        except (pa.ArrowException, TypeError, ValueError):
            mixed.append(f"the column {name} contains values of several types")
    return pl.DataFrame(columns), mixed


def _type_problems(table: pl.DataFrame) -> list[str]:
    problems = []
    for name, expected in BRIDGE_SCHEMA.items():
        found = table.schema.get(name)
        if found is None or found == pl.Null or _types_compatible(found, expected):
            continue
        more = (
            "; a code stored as a number has lost its leading zeros"
            if expected == pl.String and found.is_numeric()
            else ""
        )
        problems.append(f"the column {name} has type {found}, but {_type_description(expected)} is expected{more}")
    return problems


def _types_compatible(found: pl.DataType, expected: pl.DataType) -> bool:
    if expected == pl.String:
        return found == pl.String or isinstance(found, pl.Categorical | pl.Enum)
    if expected.is_numeric():
        return found.is_numeric()
    return found.is_temporal() if expected.is_temporal() else found == expected


def _type_description(dtype: pl.DataType) -> str:
    if dtype == pl.String:
        return "text"
    return "a number" if dtype.is_numeric() else "a date" if dtype.is_temporal() else "true or false"


def _rating_problems(table: pl.DataFrame) -> list[str]:
    problems = []
    for item in CONDITION_ITEMS:
        if item in table.columns and not table.schema[item].is_numeric():
            values = table[item].cast(pl.String).drop_nulls()
            invalid = values.filter(~values.is_in(RATING_CODES))
            if len(invalid):
                problems.append(
                    f"item {ITEMS_BY_NAME[item].number} has {len(invalid)} values that are not ratings, such as "
                    f"{invalid[0]!r}"
                )
    return problems


def _duplicates(table: pl.DataFrame) -> int:
    if not {*RECORD_KEY, "on_structure"} <= set(table.columns) or table.schema["on_structure"] != pl.Boolean:
        return 0
    keys = table.filter(pl.col("on_structure")).select(*RECORD_KEY).drop_nulls()
    return int(keys.is_duplicated().sum())


def _records_by_year(table: pl.DataFrame) -> dict[int, int]:
    if "survey_year" not in table.columns or not table.schema["survey_year"].is_numeric():
        return {}
    return {
        int(year): count for year, count in table["survey_year"].drop_nulls().value_counts().sort("survey_year").rows()
    }


def _warnings(table: pl.DataFrame, duplicates: int, flags: dict[str, int]) -> list[str]:
    warnings = code_problems(table)
    if duplicates:
        warnings.append(f"{duplicates} records of type 1 share survey year and structure key with another record")
    if "unparsed" in table.columns and (unparsed := table.height - table["unparsed"].null_count()):
        warnings.append(f"{unparsed} records have a number that could not be parsed; its text is in `unparsed`")
    if flags:
        warnings.append(
            f"{sum(flags.values())} flags: " + ", ".join(f"{flag} {count}" for flag, count in flags.items())
        )
    return warnings


def _abbreviate(names: list[str], at_most: int = 8) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


def _item_number(name: str) -> str:
    return ITEMS_BY_NAME[name].number if name in ITEMS_BY_NAME else ""
