"""The comparison of a national year by evidently: Kolmogorov-Smirnov, Wasserstein and PSI of every feature.

Runs in an environment of its own, so that the platform need not have evidently's libraries:
`python drift_evidently.py REFERENCE.parquet YEAR.parquet`. Prints wall and CPU seconds from the Parquet files to the
values (without the import of evidently), the number of features and the version; then the values as JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

METHODS = {"kolmogorov_smirnov": "ks", "wasserstein": "wasserstein", "stability_index": "psi"}

#: Columns that identify a row (`data.features.build.ID_COLUMNS`).
NOT_COMPARED = ("structure_key", "survey_year", "inspection_date", "STATE_CODE_001")


def main(reference_path: str, year_path: str) -> None:
    import pandas as pd

    evidently, metrics_module = importlib.import_module("evidently"), importlib.import_module("evidently.metrics")
    started, on_processor = time.perf_counter(), time.process_time()
    reference, year = pd.read_parquet(reference_path), pd.read_parquet(year_path)
    columns = [
        name
        for name in reference.columns
        if name not in NOT_COMPARED and reference[name].notna().any() and year[name].notna().any()
    ]
    metrics = [metrics_module.ValueDrift(column=name, method=method) for name in columns for method in METHODS.values()]
    result = evidently.Report(metrics).run(year[columns], reference[columns]).dict()
    seconds, on_processor = time.perf_counter() - started, time.process_time() - on_processor
    print(f"{seconds:.3f} {on_processor:.3f} {len(columns)} {evidently.__version__}")
    print(json.dumps([metric["value"] for metric in result["metrics"]], default=float))


if __name__ == "__main__":
    main(*sys.argv[1:])
