"""The gate's truth table at the end of docs/gate.md: a row for each situation, written by the test that plays it.

`BRIDGE_ASSETS_WRITE_DOCS=1` writes the rows that differ; without it, a row that differs fails its test.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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


def assert_documented(situation: str, should: str, outcomes: dict[str, str], order: Sequence[str]) -> None:
    """Compare the outcomes of a situation on every target with the page; `order` is that of all situations."""
    rows = documented_rows()
    row = f"| {situation} | {should} | {' | '.join(outcomes[target] for target in TARGETS)} |"
    if rows.get(situation) != row and os.environ.get("BRIDGE_ASSETS_WRITE_DOCS"):
        text = GATE_PAGE.read_text(encoding="utf-8")
        table = [row if name == situation else rows[name] for name in order if name == situation or name in rows]
        rule = "|".join(["", *["---"] * (len(TARGETS) + 2), ""])
        GATE_PAGE.write_text(text[: text.index(HEADER)] + "\n".join([HEADER, rule, *table]) + "\n", encoding="utf-8")
        return
    assert rows.get(situation) == row, f"docs/gate.md should say: {row}"
