"""The result of a check from the problems that it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

#: Most problems that the description of a check lists.
_MAX_LISTED = 20


def check_result(
    problems: Sequence[str],
    passed_message: str,
    metadata: Mapping[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Passed where there is no problem; the description lists the first problems, else says `passed_message`."""
    return dg.AssetCheckResult(
        passed=not problems,
        severity=severity,
        description="; ".join(problems[:_MAX_LISTED]) or passed_message,
        metadata=dict(metadata),
    )
