"""Removes the single quotes of a table whose texts are in them, as in FHWA's delimited format.

A text with a separator inside makes two fields, each with a quote at one end. Where another field is missing, the row
has the right number of fields all the same, with values in the columns of their neighbours: it is rejected.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from bridge_assets.nbi.delimited.quotes import one_sided_detail
from bridge_assets.nbi.tables.quoted_csv import CsvRows


def without_single_quotes(rows: CsvRows) -> CsvRows:
    """The rows without a balanced pair of single quotes and the padding inside it; shifted rows are rejected."""
    text = rows.text.select(pl.all().str.strip_chars(" \t"))
    first, last = pl.all().str.starts_with("'"), pl.all().str.ends_with("'")
    is_pair = first & last & (pl.all().str.len_bytes() > 1)
    one_sided = text.select((first | last) & ~is_pair)
    shifted = one_sided.select(pl.any_horizontal(pl.all())).to_series()
    inner = pl.all().str.slice(1, pl.all().str.len_chars() - 2).str.strip_chars(" \t")
    unquoted = text.with_columns(pl.when(is_pair).then(inner).otherwise(pl.all()))
    if not shifted.any():
        return replace(rows, text=unquoted)
    rejected = list(rows.rejected)
    for row in shifted.arg_true():
        item = next(name for name in one_sided.columns if one_sided[name][row])
        rejected.append((rows.line_numbers[row], "one_sided_quote", one_sided_detail(item), rows.lines[row]))
    kept = (~shifted).arg_true().to_list()
    return CsvRows(
        unquoted[kept], [rows.line_numbers[row] for row in kept], [rows.lines[row] for row in kept], sorted(rejected)
    )
