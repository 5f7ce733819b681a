"""The gate's truth table in docs/gate.md: one row a situation, written by the test that plays it on every target.

`BRIDGE_ASSETS_WRITE_DOCS=1` writes the rows that differ; without it, a row that differs fails its test.
"""

from __future__ import annotations

import os
from pathlib import Path

import bridge_assets

GATE_PAGE = Path(bridge_assets.__file__).parents[1] / "docs" / "gate.md"

TARGETS = ("local", "sagemaker", "azureml", "vertexai", "kubernetes")

HEADER = f"| situation | should | {' | '.join(TARGETS)} |"


def documented_rows() -> dict[str, str]:
    """Situation -> its line."""
    lines = GATE_PAGE.read_text(encoding="utf-8").splitlines()
    table = lines[lines.index(HEADER) + 2 :]
    rows = table[: next((number for number, line in enumerate(table) if not line.startswith("|")), len(table))]
    return {row.split("|")[1].strip(): row for row in rows}


def assert_documented(situation: str, should: str, outcomes: dict[str, str]) -> None:
    """Compare the outcomes of a situation on every target with the page."""
    row = f"| {situation} | {should} | {' | '.join(outcomes[target] for target in TARGETS)} |"
    text = GATE_PAGE.read_text(encoding="utf-8")
    documented = documented_rows().get(situation)
    if documented != row and os.environ.get("BRIDGE_ASSETS_WRITE_DOCS"):
        rule = "|".join(["", *["---"] * (len(TARGETS) + 2), ""])
        old, new = (documented, row) if documented else (f"{HEADER}\n{rule}\n", f"{HEADER}\n{rule}\n{row}\n")
        GATE_PAGE.write_text(text.replace(old, new, 1), encoding="utf-8")
        documented = row
    assert documented == row, f"docs/gate.md should say: {row}"
