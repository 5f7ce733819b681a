"""What a failed dbt test says: what was expected, how many rows fail, and which.

dagster-dbt reports a test without a description, so that a warning would show nothing but its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from bridge_assets import markdown

#: Columns that tell people which row it is; shown first.
_KEYS = ("structure_key", "survey_year", "state_code", "file", "line_number")

#: Rows in the text and in the metadata, columns of a row, and characters of a value.
_ROWS_IN_TEXT, _ROWS_IN_METADATA, _COLUMNS, _CHARACTERS = 3, 20, 8, 40


def explained_result(
    result: dg.AssetCheckResult, manifest: Mapping[str, Any], target_path: Path, warehouse: Path
) -> dg.AssetCheckResult:
    """The result of a dbt test; if it failed, with a description and its first failing rows.

    Parameters
    ----------
    result : dg.AssetCheckResult
        As dagster-dbt reports it.
    manifest : mapping
        Of the dbt project.
    target_path : Path
        The target folder of the dbt command, with `run_results.json`.
    warehouse : Path
        The DuckDB file that the test read; opened read-only.
    """
    unique_id = result.metadata["unique_id"].value if "unique_id" in result.metadata else None
    test = manifest["nodes"].get(unique_id)
    if result.passed or test is None:
        return result
    columns, rows = _failing_rows(_compiled_sql(target_path, str(unique_id)), test, warehouse)
    count = result.metadata.get("dagster_dbt/failed_row_count")
    meaning = " ".join(str((test["config"].get("meta") or {}).get("description") or test["name"]).split())
    return result._replace(
        description=_description(meaning, int(str(count.value)) if count else len(rows), columns, rows),
        metadata={
            **result.metadata,
            **({"failing_rows": dg.MetadataValue.md(markdown.table(columns, rows))} if rows else {}),
        },
    )


def _description(meaning: str, count: int, columns: list[str], rows: list[list[str]]) -> str:
    expected, _, advice = meaning.partition(". ")
    counted = f"{count:,} row{'' if count == 1 else 's'} " if count else ""
    text = f"{counted}not as expected ({expected.rstrip('.')})"
    shown = [", ".join(f"{name} {value}" for name, value in zip(columns, row, strict=True)) for row in rows]
    if shown:
        text += f": {'; '.join(shown[:_ROWS_IN_TEXT])}{' ...' if count > _ROWS_IN_TEXT else ''}"
    return f"{text}. {advice}".rstrip()


def _compiled_sql(target_path: Path, unique_id: str) -> str | None:
    try:
        results = json.loads((target_path / "run_results.json").read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, KeyError):
        return None
    return next((each.get("compiled_code") for each in results if each.get("unique_id") == unique_id), None)


def _failing_rows(sql: str | None, test: Mapping[str, Any], warehouse: Path) -> tuple[list[str], list[list[str]]]:
    """The first failing rows: the keys, the columns that the test names, then others; empty if they cannot be read."""
    import duckdb

    if sql is None:
        return [], []
    try:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            found = connection.sql(f"select * from ({sql.strip().rstrip(';')}) limit {_ROWS_IN_METADATA}")
            rows = found.fetchall()
            names = list(found.columns)
    except duckdb.Error:  # the text without examples is better than a failed run
        return [], []
    arguments = " ".join(map(str, ((test.get("test_metadata") or {}).get("kwargs") or {}).values()))
    named = set(re.findall(r"[a-z_0-9]+", arguments))
    columns = [name for name in _KEYS if name in names]
    columns += [name for name in names if name in named and name not in columns]
    columns += [name for name in names if name not in columns]
    columns = columns[:_COLUMNS] if not named & set(names) else [each for each in columns if each in {*_KEYS, *named}]
    places = [names.index(name) for name in columns]
    return columns, [[_shown(row[place]) for place in places] for row in rows]


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "blank" if value is None else str(value)[:_CHARACTERS]
