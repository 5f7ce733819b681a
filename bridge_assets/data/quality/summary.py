"""Counts the data quality of a survey year: rows read and rejected, flags, missing values, and duplicates.

Belongs here: counting the measures. Does not belong here: their definitions (`measures`), comparisons between years
(`jumps`), and the page (`reporting.quality`).

Works on the Parquet file, a few columns at a time, so that memory use does not grow with the number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq

from bridge_assets.data.quality.measures import ALL_STATES, ANY, DUPLICATE_RULES, MEASURES, SUMMARY_SCHEMA
from bridge_assets.errors import SourceError
from bridge_assets.nbi.coding_guide.items import ITEMS, ITEMS_BY_NAME
from bridge_assets.nbi.coding_guide.layouts import LAYOUTS
from bridge_assets.nbi.flag_rules import FLAGS
from bridge_assets.nbi.flags import SEPARATOR

if TYPE_CHECKING:
    from bridge_assets.data.lake import Lake

#: Items counted in one pass over the file. More would hardly be faster, and each needs memory.
ITEMS_PER_PASS = 16

_STATE = pl.col("structure_key").str.head(2).alias("state")
_COUNTS = pl.Schema({"state": pl.String(), "measure": pl.String(), "name": pl.String(), "records": pl.Int64()})


def write_quality_summary(lake: Lake, survey_year: int) -> pl.DataFrame:
    """Count the data quality of a survey year, and write the table data_quality with its provenance to the lake.

    Returns
    -------
    pl.DataFrame
        As `quality_summary`.

    Raises
    ------
    SourceError
        If raw_bridges or rejected_records of that year do not exist, or the records have no flags.
    """
    provenance = lake.provenance("raw_bridges", survey_year)
    made_from = {name: lake.digest(name, survey_year) for name in ("raw_bridges", "rejected_records")}
    records, rejected = lake.year_path("raw_bridges", survey_year), lake.year_path("rejected_records", survey_year)
    summary = quality_summary(records, rejected, provenance, survey_year)
    lake.write(summary, "data_quality", survey_year)
    lake.write_provenance("data_quality", survey_year, {"made_from": made_from, "layouts": provenance["layouts"]})
    return summary


def quality_summary(records: Path, rejected: Path, provenance: Mapping[str, Any], survey_year: int) -> pl.DataFrame:
    """Count the data quality of the records of a survey year.

    Parameters
    ----------
    records : Path
        Parquet with the columns of `BRIDGE_SCHEMA`, including `flags`.
    rejected : Path
        Parquet with the columns of `delimited.records.REJECTED_SCHEMA`.
    provenance : mapping
        Provenance of the ingestion: rows_read, layouts, items, unchecked_flags.
    survey_year : int

    Returns
    -------
    pl.DataFrame
        `SUMMARY_SCHEMA`, tidy: one row for each state (two digits of the structure key, or `all`), measure (`MEASURES`)
        and name. `records` is a count, `of` its denominator, `share` their quotient (0-1, null if `of` is 0). For state
        `all`, every flag that was checked, every item that all files have and every rule has a row, even if its count
        is 0; a single state only has rows for counts above 0. Rows read and rejected have no state, because the text of
        a rejected row is not reliable. `loaded` and `rejected` are counted from the files, not taken from the
        provenance.

    Raises
    ------
    SourceError
        If the records were written by a version without flags.
    """
    table = pl.scan_parquet(records)
    if "flags" not in table.collect_schema():
        raise SourceError(
            f"the records of {survey_year} have no column `flags`",
            where=records,
            why="They were written before flags were introduced",
            do=f"ingest the survey files of {survey_year} again",
            stage="raw_bridges",
        )
    rows = _row_counts(table)
    by_state = pl.concat(
        [
            rows,
            _count_names(table, "flags", "flag", _flag_names),
            _count_names(table, "unparsed", "unparsed", _item_names),
            _missing(records, table, rows, provenance),
            _duplicates(table),
        ]
    )
    whole = by_state.group_by("measure", "name").agg(pl.col("records").sum())
    whole = whole.join(
        _required_rows(provenance.get("unchecked_flags", ())), on=["measure", "name"], how="full", coalesce=True
    )
    reasons = pl.scan_parquet(rejected).group_by(name="reason").agg(records=pl.len().cast(pl.Int64)).collect()
    n_rejected = int(reasons["records"].sum())
    counted = pl.concat(
        [
            _file_counts("rows", {"read": int(provenance["rows_read"]), "rejected": n_rejected}),
            _file_counts("rejected", dict(reasons.iter_rows())),
            whole.select(pl.lit(ALL_STATES).alias("state"), "measure", "name", pl.col("records").fill_null(0)),
            by_state.filter(pl.col("records") > 0),
        ]
    )
    return _with_shares(counted, survey_year)


def _row_counts(table: pl.LazyFrame) -> pl.DataFrame:
    counts = table.group_by(_STATE).agg(pl.len().alias("loaded"), pl.col("on_structure").sum())
    return _to_long(counts.collect(engine="streaming"), "rows")


def _count_names(table: pl.LazyFrame, column: str, measure: str, names: Any) -> pl.DataFrame:
    """Count records by each name in a text column. Only the distinct texts are split, because there are few."""
    texts = table.filter(pl.col(column).is_not_null()).group_by(_STATE, column).agg(pl.len().cast(pl.Int64))
    found = [
        (state, measure, name, height)
        for state, text, height in texts.collect(engine="streaming").iter_rows()
        for name in (*names(text), ANY)
    ]
    counts = pl.DataFrame(found, schema=_COUNTS, orient="row")
    return counts.group_by("state", "measure", "name").agg(pl.col("records").sum())


def _flag_names(text: str) -> list[str]:
    return text.split(SEPARATOR)


def _item_names(text: str) -> set[str]:
    # The text between the quotes comes from the source and may contain a separator: count only known items.
    return {name for part in text.split(SEPARATOR) if (name := part.partition("=")[0]) in ITEMS_BY_NAME}


def _missing(path: Path, table: pl.LazyFrame, rows: pl.DataFrame, provenance: Mapping[str, Any]) -> pl.DataFrame:
    nulls, height = _null_counts(path)
    items = _items_of(provenance.get("layouts", ()))
    if not items:  # a table: a column of it without any value says as little as none
        of_every_file = provenance.get("items", [item.name for item in ITEMS])
        items = [name for name in of_every_file if nulls.get(name, 0) != height]
    # From the Parquet statistics, columns without values or without nulls are known and need not be read.
    read = [name for name in items if nulls.get(name) is None or 0 < (nulls[name] or 0) < height]
    always_missing = [name for name in items if nulls.get(name) == height]
    on_structure = table.filter("on_structure").group_by(_STATE)
    parts = [
        _to_long(on_structure.agg(pl.col(names).null_count()).collect(engine="streaming"), "missing")
        for names in (read[start : start + ITEMS_PER_PASS] for start in range(0, len(read), ITEMS_PER_PASS))
    ]
    of_type_1 = rows.filter(pl.col("name") == "on_structure")
    parts += [of_type_1.with_columns(measure=pl.lit("missing"), name=pl.lit(name)) for name in always_missing]
    zero = [(ALL_STATES, "missing", name, 0) for name in items]
    return pl.concat([*parts, pl.DataFrame(zero, schema=_COUNTS, orient="row")])


def _null_counts(path: Path) -> tuple[dict[str, int | None], int]:
    """Nulls by column from the Parquet statistics (None if they are missing), and the number of rows."""
    metadata = pq.read_metadata(path)
    nulls: dict[str, int | None] = {}
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            statistics, name = column.statistics, column.path_in_schema
            previous = nulls.get(name, 0)
            if statistics is None or not statistics.has_null_count or previous is None:
                nulls[name] = None
            else:
                nulls[name] = previous + statistics.null_count
    return nulls, metadata.num_rows


def _items_of(layouts: Sequence[str]) -> list[str]:
    """The items that every file of the year has; empty if a file has a format without a fixed list of items."""
    known = {layout.name: set(layout.canonical_columns) for layout in LAYOUTS}
    if not layouts or any(name not in known for name in layouts):
        return []
    shared = set.intersection(*(known[name] for name in layouts))
    return [item.name for item in ITEMS if item.name in shared]


def _duplicates(table: pl.LazyFrame) -> pl.DataFrame:
    """Count records that share a structure key, by the rule of `structures.one_record_per_structure` that applied."""
    on_structure = table.filter("on_structure")
    repeated_keys = (
        on_structure.group_by("structure_key").agg(pl.len()).filter(pl.col("len") > 1).select("structure_key")
    )
    date, file = pl.col("inspection_date").fill_null(pl.date(1, 1, 1)), pl.col("file").cast(pl.String)
    groups = (
        on_structure.select("structure_key", date, "line_number", file, "STRUCTURE_NUMBER_008")
        .join(repeated_keys, on="structure_key", how="semi")
        .collect(engine="streaming")
        .sort("structure_key", "inspection_date", "line_number", "file", descending=[False, False, True, True])
        .with_columns(
            _STATE,
            kept_date=pl.col("inspection_date").last().over("structure_key"),
            kept_line=pl.col("line_number").last().over("structure_key"),
            is_kept=pl.int_range(pl.len()).over("structure_key") == pl.len().over("structure_key") - 1,
            spellings=pl.col("STRUCTURE_NUMBER_008").n_unique().over("structure_key"),
        )
    )
    rule = (
        pl.when(pl.col("inspection_date") != pl.col("kept_date"))
        .then(pl.lit("later_inspection"))
        .when(pl.col("line_number") != pl.col("kept_line"))
        .then(pl.lit("earlier_line"))
        .otherwise(pl.lit("file_name"))
    )
    duplicates = groups.filter(~pl.col("is_kept")).select("state", measure=pl.lit("duplicate"), name=rule)
    respelled = groups.filter(pl.col("spellings") > 1)
    variants = respelled.select("state", measure=pl.lit("padding_variant"), name=pl.lit("leading_zeros"))
    counts = pl.concat([duplicates, variants]).group_by("state", "measure", "name").agg(records=pl.len())
    return counts.cast(dict(_COUNTS.items()))


def _required_rows(unchecked: Sequence[str]) -> pl.DataFrame:
    """The measures and names that have a row with state `all` even if their count is 0; no flag that is unchecked."""
    names = [("rows", "loaded"), ("rows", "on_structure"), ("flag", ANY), ("unparsed", ANY)]
    names += [("flag", name) for name, flag in FLAGS.items() if flag.expression and name not in unchecked]
    names += [(measure, rule) for rule, (measure, _) in DUPLICATE_RULES.items()]
    return pl.DataFrame(names, schema=["measure", "name"], orient="row")


def _file_counts(measure: str, counts: Mapping[str, int]) -> pl.DataFrame:
    rows = [(ALL_STATES, measure, name, height) for name, height in counts.items()]
    return pl.DataFrame(rows, schema=_COUNTS, orient="row")


def _to_long(wide: pl.DataFrame, measure: str) -> pl.DataFrame:
    long = wide.unpivot(index="state", variable_name="name", value_name="records")
    return long.with_columns(measure=pl.lit(measure)).select(_COUNTS.names()).cast(dict(_COUNTS.items()))


def _with_shares(counts: pl.DataFrame, survey_year: int) -> pl.DataFrame:
    measures = list(MEASURES)
    denominators = pl.DataFrame(
        [(name, each.denominator) for name, each in MEASURES.items()], schema=["measure", "unit"], orient="row"
    )
    totals = counts.filter(pl.col("measure") == "rows").select("state", unit="name", of="records")
    read = totals.filter(pl.col("unit") == "read")["of"].item()
    return (
        counts.join(denominators, on="measure")
        .join(totals, on=["state", "unit"], how="left")
        .with_columns(pl.col("of").fill_null(read))  # the rows of a state are a share of the rows of the file
        .with_columns(
            pl.lit(survey_year).alias("survey_year"),
            pl.when(pl.col("of") > 0).then(pl.col("records") / pl.col("of")).alias("share"),
        )
        .sort(
            pl.col("state") != ALL_STATES,
            "state",
            pl.col("measure").replace_strict(measures, range(len(measures))),
            "name",
        )
        .select(SUMMARY_SCHEMA.names())
        .cast(dict(SUMMARY_SCHEMA.items()))
    )
