"""`python -m benchmarks [name ...]`: run the named benchmarks, or all.

Those of national size need 3 GB of disk space; `BRIDGE_ASSETS_BENCHMARKS` names a folder in which to keep their files.
"""

from __future__ import annotations

import sys

from benchmarks import (
    dashboard,
    drift,
    drift_power,
    features,
    growth,
    ingestion,
    loading,
    massachusetts,
    massachusetts_origins,
    massachusetts_survival,
    request_path,
    scoring,
    served_metrics,
    serving,
    tables,
    training,
    watch,
)

BENCHMARKS = {
    "loading": loading.main,
    "ingestion": ingestion.main,
    "tables": tables.main,
    "features": features.main,
    "growth": growth.main,
    "scoring": scoring.main,
    "massachusetts": massachusetts.main,
    "massachusetts_origins": massachusetts_origins.main,
    "massachusetts_survival": massachusetts_survival.main,
    "drift": drift.main,
    "drift_power": drift_power.main,
    "serving": serving.main,
    "request_path": request_path.main,
    "served_metrics": served_metrics.main,
    "training": training.main,
    "watch": watch.main,
    "dashboard": dashboard.main,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        if name not in BENCHMARKS:
            sys.exit(f"{name!r} is not a benchmark. Available: {', '.join(BENCHMARKS)}")
        print(f"## {name}\n", flush=True)
        BENCHMARKS[name]()
        print(flush=True)
