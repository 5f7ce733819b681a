"""Ingests one national survey year, compared with pandas doing the same work, and with readers that do less.

The file: 620,000 generated rows in the 2019 layout, with the errors of real files (`benchmarks.national`).

- pandas, the same work (the baseline): reads every field as text, splits on every comma, strips padding and quotes,
  types every item, writes Parquet. It does not validate, and does not keep rejected rows.
- pandas.read_csv, defaults: loses codes and changes apostrophes; set to skip rows that it cannot read, because it would
  stop at them.
- polars and DuckDB read the fields as text and write Parquet, without stripping, typing or validation.
- bytes and commas: reads the file and counts its commas, the minimum that any reader must do.
"""

from __future__ import annotations

import sys

from benchmarks.interleaved import measure, show, working_folder
from benchmarks.national import ROWS, write_national_years

OURS = """
import sys
from pathlib import Path
from bridge_assets.data.ingestion import ingest
out = Path(sys.argv[2])
report = ingest([Path(sys.argv[1])], 2019, out / "records.parquet", out / "rejected.parquet")
assert report.rows_read == report.loaded + report.rejected
"""

SAME_WORK = """
import csv, sys
import pandas as pd
from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME, ItemKind
from bridge_assets.nbi.coding_guide.layouts import COLUMN_ALIASES
table = pd.read_csv(sys.argv[1], dtype=str, quoting=csv.QUOTE_NONE, keep_default_na=False, encoding="latin-1",
                    on_bad_lines="skip")
table = table.rename(columns=COLUMN_ALIASES)
for name in table.columns:
    text = table[name].str.strip()
    quoted = text.str.startswith("'") & text.str.endswith("'") & (text.str.len() > 1)
    text = text.where(~quoted, text.str.slice(1, -1).str.strip())
    if ITEMS_BY_NAME[name].kind in (ItemKind.INTEGER, ItemKind.DECIMAL):
        text = pd.to_numeric(text, errors="coerce")
    table[name] = text
table.to_parquet(sys.argv[2] + "/pandas.parquet")
"""

DEFAULTS = """
import sys
import pandas as pd
pd.read_csv(sys.argv[1], quotechar="'", low_memory=False, encoding="latin-1", on_bad_lines="skip")
"""

POLARS = """
import sys
import polars as pl
pl.read_csv(sys.argv[1], quote_char=None, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy"
            ).write_parquet(sys.argv[2] + "/polars.parquet")
"""

DUCKDB = """
import sys
import duckdb
duckdb.sql(f"copy (from read_csv('{sys.argv[1]}', quote='', escape='', all_varchar=true, ignore_errors=true, "
           f"header=true, delim=',', strict_mode=false)) to '{sys.argv[2]}/duckdb.parquet' (format parquet)")
"""

LIMIT = """
import sys
with open(sys.argv[1], "rb") as file:
    print(sum(block.count(b",") for block in iter(lambda: file.read(1 << 20), b"")))
"""


def main() -> None:
    folder = working_folder()
    path = write_national_years(folder, [2019])[0]
    print(f"{ROWS:,} rows, {path.stat().st_size / 1e6:.0f} MB\n")
    contenders = {
        "pandas, the same work": SAME_WORK,
        "pandas.read_csv, defaults": DEFAULTS,
        "polars, fields as text": POLARS,
        "DuckDB, fields as text": DUCKDB,
        "bridge_assets.data.ingest.ingest.ingest": OURS,
        "bytes and commas": LIMIT,
    }
    measured = measure(
        {name: [sys.executable, "-c", code, str(path), str(folder)] for name, code in contenders.items()}
    )
    show(measured, "pandas, the same work")
