"""Fixed records and inspections, and the value of every feature for them when its version was last increased.

The files are in `bridge_assets_tests/data/features/examples`: `records.csv` and `transitions.csv` are the inputs (drawn
once at random: edge values, blanks, codes with and without a leading zero), `expected.json` has the values. As a
script, it prints the current values as JSON. With `--write` it first replaces the expected values of the features whose
version was increased, and of no others.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

from bridge_assets.data.features.build import build_bridge_features, condition_history, features_digest
from bridge_assets.data.features.definitions import FEATURES
from bridge_assets.data.features.history import HISTORY_COLUMNS
from bridge_assets.data.features.peers import peer_outcomes
from bridge_assets.nbi.delimited.records import RECORD_SCHEMA

FOLDER = Path(__file__).parent.parent / "data" / "features" / "examples"
EXPECTED_FILE = FOLDER / "expected.json"
SURVEY_YEAR = 2018

#: Types of the columns that `RECORD_SCHEMA` does not have: derived ones, and those of fct_condition_transitions.
SCHEMA: dict[str, Any] = {
    **RECORD_SCHEMA,
    "structure_key": pl.String, "survey_year": pl.Int16, "next_survey_year": pl.Int16, "condition": pl.Int8,
    "next_condition": pl.Int8, "inspection_date": pl.Date, "latitude": pl.Float64, "longitude": pl.Float64,
    "on_structure": pl.Boolean, "inspected_in_future": pl.Boolean, "is_culvert": pl.Boolean, "line_number": pl.Int32,
    "material_043a": pl.String, **HISTORY_COLUMNS,
}  # fmt: skip


def read_examples(name: str) -> pl.LazyFrame:
    """One of the two input tables: `records` or `transitions`."""
    file = FOLDER / f"{name}.csv"
    header = file.read_text(encoding="utf-8").split("\n", 1)[0].split(",")
    return pl.read_csv(file, schema={column: SCHEMA[column] for column in header}).lazy()


def present_values() -> dict[str, Any]:
    """Version and values of each feature by the current definitions, with their digest and the version of polars."""
    transitions = read_examples("transitions")
    table = build_bridge_features(
        read_examples("records"), condition_history(transitions), peer_outcomes(transitions), SURVEY_YEAR
    )
    features = {
        # Nine digits distinguish every float32 from its neighbors.
        each.name: {"version": each.version, "values": [_rounded(value) for value in table[each.name]]}
        for each in FEATURES
    }
    return {"polars": pl.__version__, "features_digest": features_digest(), "features": features}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.9g}")


def expected_values() -> dict[str, dict[str, Any]]:
    """Version and values of each feature when its version was last increased."""
    return json.loads(EXPECTED_FILE.read_text(encoding="utf-8"))


def write_expected(present: dict[str, dict[str, Any]]) -> None:
    """Replace the expected values of features that are new or have a higher version, and drop removed features."""
    expected = expected_values() if EXPECTED_FILE.is_file() else {}
    kept = {
        name: expected[name] if name in expected and expected[name]["version"] == feature["version"] else feature
        for name, feature in present.items()
    }
    lines = [f" {json.dumps(name)}: {json.dumps(feature)}" for name, feature in sorted(kept.items())]
    EXPECTED_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    found = present_values()
    if "--write" in sys.argv:
        write_expected(found["features"])
    print(json.dumps(found))
