"""Loads the code location, compared with importing the two libraries that it needs.

Baseline: `import dagster, dagster_dbt`. Limit: 2.0 times the baseline (`dagster definitions validate -w
workspace.yaml`), because a code location is loaded at every start, at every reload and in every subprocess.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.interleaved import measure, show

BOUND = 2.0

IMPORTS = "import dagster and dagster_dbt"
VALIDATE = "dagster definitions validate -w workspace.yaml"


def main() -> None:
    dagster = str(Path(sys.executable).parent / "dagster")
    measured = measure(
        {
            IMPORTS: [sys.executable, "-c", "import dagster, dagster_dbt"],
            "import bridge_assets.definitions": [sys.executable, "-c", "import bridge_assets.definitions"],
            VALIDATE: [dagster, "definitions", "validate", "-w", "workspace.yaml"],
        },
        rounds=7,
    )
    show(measured, IMPORTS)
    ratio = measured[VALIDATE].seconds / measured[IMPORTS].seconds
    print(f"\n{ratio:.2f} times the baseline; limit {BOUND}: {'kept' if ratio <= BOUND else 'exceeded'}")
