"""The rows of raw_bridges: the records of a survey year with derived columns and flags.

Belongs here: the schema of the table, and how it is computed from a batch of records. Does not belong here: reading
source files and writing the table (`ingest`).
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pyarrow as pa

from bridge_assets.nbi.delimited.records import ARROW_SCHEMA, RECORD_SCHEMA, Batch
from bridge_assets.nbi.derived import DECODED_ITEMS, derived_columns
from bridge_assets.nbi.flags import REQUIRED_COLUMNS as FLAGGED_COLUMNS
from bridge_assets.nbi.flags import flag_records


def _bridge_schema() -> pl.Schema:
    empty = pl.DataFrame(schema=RECORD_SCHEMA).select(derived_columns(2000))
    return pl.Schema({"file": pl.String(), **RECORD_SCHEMA, **empty.schema, "flags": pl.String()})


#: The columns of raw_bridges: file, line number, every NBI item, `unparsed`, the derived columns, and `flags`.
BRIDGE_SCHEMA = _bridge_schema()

#: The derived columns of `BRIDGE_SCHEMA`, in order.
DERIVED_SCHEMA = pl.Schema(list(BRIDGE_SCHEMA.items())[1 + len(RECORD_SCHEMA) :])

#: `BRIDGE_SCHEMA` in Arrow, coded items as dictionaries.
BRIDGE_ARROW_SCHEMA = pa.schema(
    [
        pa.field("file", pa.dictionary(pa.int32(), pa.string())),
        *ARROW_SCHEMA,
        *pl.DataFrame(schema=DERIVED_SCHEMA).to_arrow(compat_level=pl.CompatLevel.oldest()).schema,
    ]
)


#: The items read by `derived_columns` and `flag_records`, apart from the check of codes.
_INPUT_ITEMS = list(dict.fromkeys([*DECODED_ITEMS, *(name for name in FLAGGED_COLUMNS if name in RECORD_SCHEMA)]))

_WHOLE_WITH_POINT = re.compile(r"([0-9])\.0+")

_DECODED_TYPES = pl.Schema({name: RECORD_SCHEMA[name] for name in DECODED_ITEMS})


def decode_bridges(batch: Batch, file: str, survey_year: int) -> pa.Table:
    """The records of a batch as bridges, `BRIDGE_ARROW_SCHEMA`."""
    records = _with_whole_record_types(batch.table)
    items = pl.DataFrame(records.select(_INPUT_ITEMS)).cast(_DECODED_TYPES)
    # Lazily, so that subexpressions shared by several columns are computed once.
    decoded = items.lazy().select(derived_columns(survey_year)).collect()
    decoded = decoded.with_columns(flag_records(items.hstack(decoded), survey_year, records, batch.absent_items))
    name = pa.DictionaryArray.from_arrays(np.zeros(records.num_rows, dtype=np.int32), pa.array([file]))
    columns = decoded.to_arrow(compat_level=pl.CompatLevel.oldest()).columns
    return pa.table([name, *records.columns, *columns], schema=BRIDGE_ARROW_SCHEMA)


def _with_whole_record_types(records: pa.Table) -> pa.Table:
    """Records with item 5A `1` where pandas wrote `1.0`: it does if another row of the column is blank."""
    column = records["RECORD_TYPE_005A"]
    written = {text for chunk in column.chunks for text in chunk.dictionary.to_pylist()}
    if not any(_WHOLE_WITH_POINT.fullmatch(text) for text in written if text):
        return records
    place = records.schema.get_field_index("RECORD_TYPE_005A")
    whole = pl.Series(column.cast(pa.string())).str.replace(rf"^{_WHOLE_WITH_POINT.pattern}$", "$1")
    coded = whole.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string()).dictionary_encode()
    return records.set_column(place, records.schema.field(place), coded)


def to_polars(table: pa.Table) -> pl.DataFrame:
    """Bridges as a polars table, `BRIDGE_SCHEMA`."""
    return pl.DataFrame(table).cast(dict(BRIDGE_SCHEMA.items()))
