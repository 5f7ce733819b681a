"""When the rules alert: thresholds, error budgets, and the names of what Prometheus scrapes."""

from __future__ import annotations

from dataclasses import dataclass

from bridge_assets.alerting.rules.rule import Severity

#: Names of the scrape jobs in `configs/prometheus_config.yaml`.
ENDPOINT_JOB, EXPORTER_JOB, PUSHGATEWAY_JOB = "bridge_assets_endpoint", "bridge_assets_exporter", "pushgateway"


@dataclass(frozen=True)
class BurnRate:
    """How fast an error budget of 30 days is used up: at rate 1 it lasts just as long.

    Attributes
    ----------
    name : str
        In the name of the alert.
    long, short : str
        Windows; the short one is a twelfth of the long one.
    rate : float
        14.4 over an hour uses 2 % of the budget, 6 over six hours 5 % (the workbook's table 5-6).
    lasting : str
    severity : str
    """

    name: str
    long: str
    short: str
    rate: float
    lasting: str
    severity: Severity


BURN_RATES = (
    BurnRate("Fast", "1h", "5m", 14.4, "2m", "page"),
    BurnRate("Slow", "6h", "30m", 6, "15m", "ticket"),
)


@dataclass(frozen=True)
class Thresholds:
    """When to alert. Chosen limits, unless a source is named.

    Attributes
    ----------
    errors, slow : float
        Budgets: the share of predictions that may fail, or take longer than `slow_seconds`.
    slow_seconds : float
        A bound of `metrics.prometheus_metrics.LATENCY_BUCKETS`.
    least_requests : int
        In the long window: of fewer, one failure says nothing about the objective.
    down_for : str
        How long a scrape may fail before the endpoint or the exporter counts as down.
    scores_late_seconds : float
        After the last scores, while the schedule `weekly_scoring` runs: a week and a day.
    run_seconds, queue_seconds : float
        Longest that a run goes on, and waits.
    silent_seconds : float
        Longest between two heartbeats of a daemon. Dagster itself calls one unhealthy after 300 s.
    disk_free : float
        Least share of the disk that is free.
    event_log_bytes : float
        At which Dagster's history is worth deleting.
    """

    errors: float = 0.005
    slow: float = 0.01
    slow_seconds: float = 0.5
    least_requests: int = 20
    down_for: str = "2m"
    scores_late_seconds: float = 8 * 86_400
    run_seconds: float = 6 * 3600
    queue_seconds: float = 3600
    silent_seconds: float = 600
    disk_free: float = 0.1
    event_log_bytes: float = 20e9
