"""Rules of Prometheus as typed values, and their YAML.

The fields are those of https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/ and
.../alerting_rules/. Belongs here: what any rule has. Does not belong here: the rules (`prometheus_alerts`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

#: A duration of PromQL with one unit.
_DURATION = re.compile(r"\d+(ms|[smhdwy])")

#: Names of metrics; a colon is for recorded ones.
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

Severity = Literal["page", "ticket"]


def duration(text: str) -> str:
    """The text, if it is a duration such as `5m`; raises ValueError otherwise."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration of Prometheus, such as 30s, 5m or 2d")
    return text


@dataclass(frozen=True)
class RecordingRule:
    """A metric that Prometheus computes from others.

    Attributes
    ----------
    record : str
        Its name: `level:metric:operations`.
    expr : str
        In PromQL.
    """

    record: str
    expr: str

    def __post_init__(self) -> None:
        if not _METRIC.fullmatch(self.record) or ":" not in self.record:
            raise ValueError(f"{self.record!r} is not the name of a recorded metric, such as job:requests:rate5m")

    def as_dict(self) -> dict[str, Any]:
        return {"record": self.record, "expr": self.expr}


@dataclass(frozen=True)
class AlertRule:
    """An alert.

    Attributes
    ----------
    alert : str
        Its name.
    expr : str
        In PromQL: every series of the result is an alert.
    lasting : str
        How long that has to be so before anybody is told.
    severity : str
        `page`: somebody has to act now; `ticket`: on the next working day.
    summary : str
        One line, with the labels and value of the alert: `{{ $labels.job }}`, `{{ $value }}`.
    do : str
        What to do.
    labels : mapping
        Added to those of the series.
    """

    alert: str
    expr: str
    lasting: str
    severity: Severity
    summary: str
    do: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        duration(self.lasting)
        if not self.alert.isalnum():
            raise ValueError(f"{self.alert!r} is not the name of an alert, such as EndpointDown")
        if not (self.summary and self.do):
            raise ValueError(f"{self.alert}: an alert says what happened and what to do")

    def as_dict(self) -> dict[str, Any]:
        return {
            "alert": self.alert,
            "expr": self.expr,
            "for": self.lasting,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {"summary": self.summary, "do": self.do},
        }


Rule = RecordingRule | AlertRule


@dataclass(frozen=True)
class RuleGroup:
    """Rules that Prometheus evaluates one after the other."""

    name: str
    rules: Sequence[Rule]

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "rules": [rule.as_dict() for rule in self.rules]}


def rules_yaml(groups: Sequence[RuleGroup]) -> str:
    """The content of a file of rules.

    Raises
    ------
    ValueError
        If two rules have the same name: Alertmanager could not tell them apart.
    """
    names = [rule.alert if isinstance(rule, AlertRule) else rule.record for group in groups for rule in group.rules]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several rules are named {', '.join(repeated)}")
    content = {"groups": [group.as_dict() for group in groups]}
    return yaml.safe_dump(content, sort_keys=False, width=118, allow_unicode=True)
