"""The log of the endpoints: one line of JSON for each deployment, rollback and refusal, with what the gate found.

    <home>/endpoints/deployments.jsonl

Dagster's event log holds the same, but only Dagster can read it. Belongs here: the line, writing and reading it. Does
not belong here: when something is deployed (`orchestration`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

#: Below the home folder.
LOG_FILE = Path("endpoints", "deployments.jsonl")

Outcome = Literal["deployed", "rolled back", "refused"]


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """What happened to an endpoint.

    Attributes
    ----------
    endpoint : str
        Such as `local_endpoint`.
    outcome : {"deployed", "rolled back", "refused"}
    version : str
        The model version that serves now; of a refusal, the one that does not.
    previous : str
        The version before; empty if there was none, or it is not known.
    gate : {"open", "overridden", "closed", ""}
        Empty for a rollback, which asks no gate.
    findings : sequence of mapping
        check, state, message: one for each requirement of the gate.
    objections : sequence of str
        What closed the gate besides the checks.
    reason : str
        Why the gate was overridden, or the endpoint rolled back.
    run : str
        Id of the run.
    at : float
        Unix seconds.
    """

    endpoint: str
    outcome: Outcome
    version: str
    previous: str = ""
    gate: str = ""
    findings: Sequence[Mapping[str, str]] = ()
    objections: Sequence[str] = ()
    reason: str = ""
    run: str = ""
    at: float = field(default_factory=time.time)


def log_deployment(home: Path, record: DeploymentRecord) -> None:
    """Add a line. Raises OSError if it cannot be written."""
    path = home / LOG_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(record), sort_keys=True).encode() + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)  # one call: lines of two processes do not mix
    finally:
        os.close(descriptor)


def read_deployments(home: Path, count: int = 100) -> list[DeploymentRecord]:
    """The last lines, the newest first; none if there is no log. What is no whole line is skipped."""
    try:
        lines = (home / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [*_records(reversed(lines))][:count]


def _records(lines: Iterable[str]) -> Iterable[DeploymentRecord]:
    names = {each.name for each in fields(DeploymentRecord)}
    for line in lines:
        try:
            found: Any = json.loads(line)
            yield DeploymentRecord(**{name: value for name, value in found.items() if name in names})
        except (ValueError, TypeError, AttributeError):
            continue
