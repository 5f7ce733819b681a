"""Splits a file that may contain several survey years into batches of one survey year each.

Belongs here: assigning rows to years, and rejecting rows without a year. Used by the formats that have a column for the
survey year (`canonical`, `infobridge`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bridge_assets.errors import SourceError
from bridge_assets.nbi.coding_guide.items import CONDITION_ITEMS, ITEMS_BY_NAME
from bridge_assets.nbi.delimited.records import RECORD_SCHEMA, REJECTED_SCHEMA, REJECTION_REASONS, Batch
from bridge_assets.nbi.spreadsheet import changed_keys

#: Valid survey years. FHWA's files begin with 1992; the wider range leaves room for tables from other sources.
FIRST_YEAR, LAST_YEAR = 1900, 2100

#: Said of a table without any of `CONDITION_ITEMS`.
NO_CONDITION = "the table has no condition ratings (items 58, 59, 60, 62), so that the condition of no bridge is known"

_log = logging.getLogger(__name__)

_HAS_KEY = pl.col("STATE_CODE_001").is_not_null() & pl.col("STRUCTURE_NUMBER_008").is_not_null()

RejectedRow = tuple[int, str, str, str]
"""Line number, reason, detail, line."""


@dataclass(frozen=True, slots=True)
class YearBatch:
    """Rows of one survey year of one file.

    Attributes
    ----------
    batch : Batch
    survey_year : int
        0 only if no row of the file has a survey year and none was given; then there are no records.
    file : str
        The source file of the records: the value of the column `file`.
    row_positions : pl.Series or None
        Position of each record among the rows of the file, UInt32, if the file mixes years; None if batches come in
        file order.
    """

    batch: Batch
    survey_year: int
    file: str
    row_positions: pl.Series | None = None


class SurveyYearSplitter:
    """Sorts the rows of one file into batches of one survey year each.

    Parameters
    ----------
    name : str
        The value of `file` for rejected records, and for records that have none.
    where : path
        The file, for errors.
    layout : str
        Name of the format, for the batches.
    wanted_year : int, optional
        Read only this survey year. Rows of other years are skipped. A row that cannot be read has no year, so it
        becomes a rejected record whichever year is wanted.
    default_year : int, optional
        The survey year of all rows of a file without a year column.
    """

    def __init__(
        self, name: str, where: Path | str, layout: str, wanted_year: int | None, default_year: int | None
    ) -> None:
        self._name, self._where, self._layout, self._wanted_year, self._default_year = (
            name,
            where,
            layout,
            wanted_year,
            default_year,
        )
        self._row, self._last_year, self._has_yielded = 0, wanted_year or default_year or 0, False
        self._pending_rejected: list[RejectedRow] = []
        self._years_seen: set[int] = set()
        self._assumed: dict[str, pl.Expr] = {}
        self._warnings: tuple[str, ...] = ()
        self._absent_items: frozenset[str] = frozenset()

    def has_columns(self, names: Iterable[str]) -> None:
        """Tell which items the file has a column for; without this call, all."""
        self._absent_items = frozenset(ITEMS_BY_NAME).difference(names)
        if self._absent_items.issuperset(CONDITION_ITEMS):
            _log.warning("%s: %s", self._where, NO_CONDITION)
            self._warnings = (*self._warnings, NO_CONDITION)

    def assume(self, item: str, value: str, warning: str) -> None:
        """Give every record this value of an item that the file lacks, and every batch the warning that says so."""
        self._assumed[item] = pl.lit(value, dtype=RECORD_SCHEMA[item]).alias(item)
        self._warnings = (*self._warnings, warning)

    def warn(self, warning: str) -> None:
        """Say something about the file that is known only after its last row; the last batch carries it."""
        self._warnings = (*self._warnings, warning)
        self._has_yielded = False

    def split(
        self,
        records: pl.DataFrame,
        years: pl.Series | None,
        files: pl.Series | None,
        line_numbers: pl.Series,
        lines: list[str] | None,
        rejected: Sequence[RejectedRow],
    ) -> Iterator[YearBatch]:
        """Split consecutive rows of the file into batches.

        Parameters
        ----------
        records : pl.DataFrame
            `RECORD_SCHEMA`, one row for each row of the file.
        years, files : pl.Series, optional
            The cells for survey year and source file in each row.
        line_numbers : pl.Series
            Line number of each row in this file.
        lines : list of str, optional
            The text of each row, unchanged.
        rejected : sequence
            Rows that could not be parsed as records.

        Raises
        ------
        SourceError
            If the file contains no survey year and none is given.
        """
        rows = records.with_columns(
            self._survey_years(years, records.height),
            (pl.lit(self._name) if files is None else files.fill_null(self._name)).alias("_file"),
            line_numbers.alias("_line"),
            pl.int_range(self._row, self._row + records.height, dtype=pl.UInt32).alias("_row"),
            pl.int_range(0, records.height, dtype=pl.UInt32).alias("_place"),
        )
        self._row += records.height
        self._years_seen.update(rows["_year"].drop_nulls().unique())
        if self._wanted_year is not None:
            rows = rows.filter((pl.col("_year") == self._wanted_year).fill_null(True))
        changed = changed_keys(rows["STATE_CODE_001"], rows["STRUCTURE_NUMBER_008"])
        is_changed = pl.int_range(pl.len()).is_in(list(changed))
        rows = rows.with_columns(_changed=pl.when(is_changed).then(pl.int_range(pl.len())))
        is_valid = _HAS_KEY & pl.col("_year").is_not_null() & pl.col("_changed").is_null()
        rejected_by_year: dict[int | None, list[RejectedRow]] = {}
        for row in rows.filter(~is_valid).iter_rows(named=True):
            has_key = row["STATE_CODE_001"] is not None and row["STRUCTURE_NUMBER_008"] is not None
            if not has_key:
                reason, detail = "no_key", REJECTION_REASONS["no_key"]
            elif row["_changed"] is not None:
                reason, detail = changed[row["_changed"]]
            else:
                reason = "no_year"
                detail = f"{years[row['_place']]!r} is not a survey year" if years is not None else ""
            line = lines[row["_place"]] if lines else _row_as_text(row)
            rejected_by_year.setdefault(row["_year"], []).append((row["_line"], reason, detail, line))
        self._pending_rejected += [*rejected, *rejected_by_year.pop(None, [])]
        for group in rows.filter(is_valid).partition_by("_year", "_file", maintain_order=True):
            year = group["_year"][0]
            yield self._build_batch(group, year, group["_file"][0], rejected_by_year.pop(year, []))
        for year, year_rejected in rejected_by_year.items():
            yield self._build_batch(rows.clear(), year or 0, self._name, year_rejected)

    def flush(self) -> Iterator[YearBatch]:
        """The last batch of the file: rejected rows that are not yet in a batch, or an empty batch for an empty file.

        Raises
        ------
        SourceError
            If no row is of the wanted survey year.
        """
        if self._has_yielded and not self._pending_rejected:
            return
        if self._wanted_year is not None and self._years_seen and self._wanted_year not in self._years_seen:
            years = ", ".join(map(str, sorted(self._years_seen)))
            raise SourceError(
                f"no records of survey year {self._wanted_year}",
                where=self._where,
                why=f"The file contains {years}",
                do="choose one of these years, or no year to read all of them",
            )
        yield self._build_batch(pl.DataFrame(schema=RECORD_SCHEMA), self._last_year, self._name, [])

    def _build_batch(self, rows: pl.DataFrame, year: int, file: str, rejected: list[RejectedRow]) -> YearBatch:
        self._has_yielded, self._last_year = True, year
        rejected, self._pending_rejected = [*self._pending_rejected, *rejected], []
        rejected_table = pl.DataFrame(
            [(self._name, *entry) for entry in rejected], schema=REJECTED_SCHEMA, orient="row"
        ).sort("line_number")
        row_positions = rows["_row"] if "_row" in rows.columns else pl.Series("_row", [], dtype=pl.UInt32)
        batch = Batch.from_polars(
            rows.select(RECORD_SCHEMA.names()).with_columns(**self._assumed),
            rejected_table,
            rows.height + len(rejected),
            self._layout,
            self._warnings,
            self._absent_items.difference(self._assumed),
        )
        return YearBatch(batch, year, file, row_positions)

    def _survey_years(self, years: pl.Series | None, height: int) -> pl.Series:
        if years is not None:
            number = years.cast(pl.Float64, strict=False)
            whole = number.is_between(FIRST_YEAR, LAST_YEAR) & (number == number.round())
            return pl.select(pl.when(whole).then(number).cast(pl.Int32)).to_series().alias("_year")
        year = self._wanted_year if self._wanted_year is not None else self._default_year
        if year is None:
            raise unknown_survey_year_error(self._where)
        return pl.repeat(year, height, dtype=pl.Int32, eager=True).alias("_year")


def unknown_survey_year_error(where: Path | str) -> SourceError:
    return SourceError(
        "the survey year is not known",
        where=where,
        why="The file's name does not contain exactly one year, and its records do not give it",
        do="pass survey_year, or name the file after its year, such as NBI_2016.txt",
    )


def _row_as_text(row: dict[str, object]) -> str:
    """A row of a format without text lines, as text: its non-empty cells."""
    return "; ".join(f"{name}={value!r}" for name, value in row.items() if name in RECORD_SCHEMA and value is not None)
