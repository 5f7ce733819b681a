"""Loads the code location, compared with importing the two libraries that it needs.

Baseline: `import dagster, dagster_dbt`. Limit: 1.5 times the baseline for the definitions, because a code location is
loaded at every start, at every reload and in every subprocess. `dagster definitions validate` adds Dagster's command
line and a temporary instance with SQLite tables; it is printed for comparison.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.interleaved import measure, show

BOUND = 1.5

IMPORTS = "import dagster and dagster_dbt"
DEFINITIONS = "load the definitions"
VALIDATE = "dagster definitions validate -w workspace.yaml"


def main() -> None:
    dagster = str(Path(sys.executable).parent / "dagster")
    load = "from bridge_assets.definitions import defs; defs.get_repository_def()"
    measured = measure(
        {
            IMPORTS: [sys.executable, "-c", "import dagster, dagster_dbt"],
            DEFINITIONS: [sys.executable, "-c", load],
            VALIDATE: [dagster, "definitions", "validate", "-w", "workspace.yaml"],
        },
        rounds=7,
    )
    show(measured, IMPORTS)
    ratio = measured[DEFINITIONS].seconds / measured[IMPORTS].seconds
    print(f"\n{ratio:.2f} times the baseline; limit {BOUND}: {'kept' if ratio <= BOUND else 'exceeded'}")
