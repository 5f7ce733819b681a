"""Builds the result of a check from the problems that it found, with numbers that the UI plots over the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from bridge_assets.orchestration.gate.judged import Judged

#: Maximum number of problems in the description of a check.
_MAX_LISTED = 20


def check_result(
    problems: Sequence[str],
    passed_message: str,
    metadata: Mapping[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """The result of a check, passed if there are no problems.

    Parameters
    ----------
    problems : sequence of str
        The first of them become the description.
    passed_message : str
        The description if there are none.
    metadata : mapping
        `problems`, their number, is added.
    severity : AssetCheckSeverity
        Of a failed check.
    """
    return dg.AssetCheckResult(
        passed=not problems,
        severity=severity,
        description="; ".join(problems[:_MAX_LISTED]) or passed_message,
        metadata={"problems": len(problems), **metadata},
    )


def judged_result(
    context: dg.AssetCheckExecutionContext,
    judged: Judged,
    problems: Sequence[str],
    passed_message: str,
    **figures: Any,
) -> dg.AssetCheckResult:
    """The same, with what the check judged: only such a result counts for the gate.

    Parameters
    ----------
    context : AssetCheckExecutionContext
    judged : Judged
    problems, passed_message
        As for `check_result`.
    **figures
        Further metadata.
    """
    return check_result(problems, passed_message, {**figures, **judged.signed_metadata(context, not problems)})


def measured(figures: Mapping[str, float | int | None]) -> dict[str, float | int]:
    """The figures that could be measured, as metadata."""
    return {name: value for name, value in figures.items() if value is not None}
