"""The features of one national survey year, from typed Parquet to Parquet, compared with the same in pandas.

Baseline: pandas reads the needed columns of the same Parquet files, chooses the record of each structure, joins its
history, computes how often its peers fell and builds the same columns, each with one vectorised expression. Both use
the same numpy code for the distance to the coast. The two results are compared before the figures are printed.
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
from bridge_assets.data.features.build import build_bridge_features, condition_history
from bridge_assets.data.features.peers import peer_outcomes
folder = Path(sys.argv[1])
transitions = pl.scan_parquet(folder / "transitions.parquet")
history, outcomes = condition_history(transitions), peer_outcomes(transitions)
table = build_bridge_features(pl.scan_parquet(folder / "records.parquet"), history, outcomes, {YEAR})
table.write_parquet(folder / "bridge_features.parquet", compression="zstd")
"""


def main() -> None:
    from bridge_assets.data.ingest.ingest import ingest

    folder = working_folder()
    records, transitions = folder / "records.parquet", folder / "transitions.parquet"
    ingest(write_national_years(folder, [YEAR]), YEAR, records, folder / "rejected.parquet")
    transitions_of(records).write_parquet(transitions)
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


def features_of_national_year(folder: Path, year: int) -> Path:
    """The features of a generated national survey year; kept in the folder for the next call."""
    from bridge_assets.data.features.build import build_bridge_features, condition_history
    from bridge_assets.data.features.peers import peer_outcomes
    from bridge_assets.data.ingest.ingest import ingest

    path, records = folder / f"bridge_features_{year}.parquet", folder / f"records_{year}.parquet"
    if not path.is_file():
        ingest(write_national_years(folder, [year]), year, records, folder / "rejected.parquet")
        transitions = transitions_of(records, year).lazy()
        table = build_bridge_features(
            pl.scan_parquet(records), condition_history(transitions), peer_outcomes(transitions), year
        )
        table.write_parquet(path, compression="zstd")
    return path


def transitions_of(records: Path, year: int = YEAR) -> pl.DataFrame:
    """Stand-in for fct_condition_transitions: for every structure this inspection, and one two years earlier."""
    of_record = ["structure_key", "STRUCTURE_KIND_043A", "is_culvert", "inspection_date", "condition"]
    now = (
        pl.read_parquet(records, columns=of_record)
        .drop_nulls(["structure_key", "inspection_date", "condition"])
        .unique("structure_key", keep="first", maintain_order=True)
        .rename({"STRUCTURE_KIND_043A": "material_043a"})
        .with_columns(
            survey_year=pl.lit(year, pl.Int16),
            next_survey_year=pl.lit(None, pl.Int16),
            next_condition=pl.lit(None, pl.Int8),
            previous_inspection_date=pl.col("inspection_date").dt.offset_by("-2y"),
            falls_so_far=pl.lit(1, pl.Int64),
            rises_so_far=pl.lit(0, pl.Int64),
            entered_at=pl.col("inspection_date").dt.offset_by("-4y"),
            entry_seen=pl.lit(value=True),
            deterioration_spell=pl.lit(2, pl.Int64),
            spell_since=pl.col("inspection_date").dt.offset_by("-6y"),
            falls_in_spell=pl.lit(1, pl.Int64),
        )
    )
    one_in_eight = pl.col("structure_key").hash(seed=1) % 8 == 0
    before = now.with_columns(
        survey_year=pl.lit(year - 2, pl.Int16),
        inspection_date=pl.col("previous_inspection_date"),
        next_survey_year=pl.lit(year, pl.Int16),
        next_condition=pl.col("condition") - one_in_eight.cast(pl.Int8),
    )
    return pl.concat([before, now]).sort("structure_key", "survey_year")
