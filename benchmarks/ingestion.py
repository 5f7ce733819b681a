"""Ingesting one survey year against pandas doing the same work, and against pandas' defaults, which do less.

The file: 120,000 rows of the 2019 layout, generated. Baseline: pandas reads every field as text, splits on every comma,
strips padding and quotes, types every item, writes Parquet. Its defaults (`pandas.read_csv`) lose codes and change
apostrophes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.interleaved import measure, show

ROWS = 120_000

OURS = """
import sys
from pathlib import Path
from bridge_assets.data.ingestion import ingest
out = Path(sys.argv[2])
ingest([Path(sys.argv[1])], 2019, out / "records.parquet", out / "rejected.parquet")
"""

SAME_WORK = """
import csv, sys
import pandas as pd
from bridge_assets.nbi.items import BY_NAME, Kind
from bridge_assets.nbi.layouts import RENAMED
table = pd.read_csv(sys.argv[1], dtype=str, quoting=csv.QUOTE_NONE, keep_default_na=False, encoding="latin-1")
table = table.rename(columns=RENAMED)
for name in table.columns:
    text = table[name].str.strip()
    quoted = text.str.startswith("'") & text.str.endswith("'") & (text.str.len() > 1)
    text = text.where(~quoted, text.str.slice(1, -1).str.strip())
    if BY_NAME[name].kind in (Kind.INTEGER, Kind.DECIMAL):
        text = pd.to_numeric(text, errors="coerce")
    table[name] = text
table.to_parquet(sys.argv[2] + "/pandas.parquet")
"""

DEFAULTS = """
import sys
import pandas as pd
pd.read_csv(sys.argv[1], quotechar="'", low_memory=False, encoding="latin-1")
"""


def main() -> None:
    from bridge_assets.nbi.layouts import layout_of_year

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "NBI_2019.txt"
        _write(path, layout_of_year(2019).columns)
        print(f"{ROWS:,} rows, {path.stat().st_size / 1e6:.0f} MB\n")
        run = [sys.executable, "-c"]
        measured = measure(
            {
                "pandas, the same work": [*run, SAME_WORK, str(path), folder],
                "pandas.read_csv, defaults": [*run, DEFAULTS, str(path), folder],
                "bridge_assets.data.ingestion.ingest": [*run, OURS, str(path), folder],
            }
        )
    show(measured, "pandas, the same work")


def _write(path: Path, columns: tuple[str, ...]) -> None:
    """The tests' own way of writing a file, with the row repeated under other numbers."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "bridge_assets_tests"))
    from nbi_files import nbi_line

    from bridge_assets.nbi.layouts import layout_of_year

    line = nbi_line(layout_of_year(2019), STRUCTURE_NUMBER_008="@")
    rows = (line.replace("@", str(number)) for number in range(ROWS))
    path.write_text("\n".join([",".join(columns), *rows]) + "\n", encoding="latin-1")
