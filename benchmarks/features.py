"""The features of one national survey year, from typed Parquet to Parquet, against the same in pandas.

Baseline: pandas reads the needed columns of the same Parquet file, chooses the record of each structure, joins its
history and works out the same 44 columns, one vectorised expression each. Before the figures are printed, the two
results are compared.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import polars as pl

from benchmarks.interleaved import measure, show, working_folder
from benchmarks.national import write_national_years

YEAR = 2019

OURS = f"""
import sys
from pathlib import Path
import polars as pl
from bridge_assets.data.feature_engineering import bridge_features, condition_history
folder = Path(sys.argv[1])
history = condition_history(pl.scan_parquet(folder / "inspections.parquet"))
table = bridge_features(pl.scan_parquet(folder / "records.parquet"), history, {YEAR})
table.write_parquet(folder / "bridge_features.parquet", compression="zstd")
"""


def main() -> None:
    from bridge_assets.data.ingestion import ingest

    folder = working_folder()
    records, inspections = folder / "records.parquet", folder / "inspections.parquet"
    ingest(write_national_years(folder, [YEAR]), YEAR, records, folder / "rejected.parquet")
    inspections_of(records).write_parquet(inspections)
    measured = measure(
        {
            "in pandas": [sys.executable, "-m", "benchmarks.features_in_pandas", str(folder)],
            "bridge_features": [sys.executable, "-c", OURS, str(folder)],
        }
    )
    ours, theirs = (pd.read_parquet(folder / f"{name}.parquet") for name in ("bridge_features", "in pandas"))
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, rtol=1e-4)
    print(f"{len(ours):,} structures, {ours.shape[1]} columns; the two results are equal\n")
    show(measured, "in pandas")


def inspections_of(records: Path) -> pl.DataFrame:
    """A history for every structure of the file: what int_inspections would hold of it."""
    return (
        pl.read_parquet(records, columns=["structure_key", "inspection_date"])
        .drop_nulls()
        .unique("structure_key", maintain_order=True)
        .with_columns(
            survey_year=pl.lit(YEAR, pl.Int16),
            condition_since=pl.col("inspection_date").dt.offset_by("-4y"),
            previous_inspection_date=pl.col("inspection_date").dt.offset_by("-2y"),
            falls_so_far=pl.lit(1, pl.Int64),
            rises_so_far=pl.lit(0, pl.Int64),
        )
        .drop("inspection_date")
    )
