"""The recording and alerting rules of Prometheus, in Python; `configs/prometheus_rules.yaml` is written from them.

    make rules     writes the YAML again; a test says if it is not in step

The service level objective of the served app: of 30 days' predictions, 99.5 % are answered without an error of the
server, and 99 % within half a second. An alert says how fast that budget of errors is used up, over a long window and
a short one, as in the Site Reliability Workbook (https://sre.google/workbook/alerting-on-slos/, section 6): the long
one says that it matters, the short one that it goes on.

Belongs here: the rules and their thresholds. Does not belong here: who is told (`prometheus_alertmanager.yaml`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge_assets.alerting.prometheus_rules import AlertRule, RecordingRule, Rule, RuleGroup, Severity, rules_yaml
from bridge_assets.settings.folders import config_folder
from bridge_assets.storage import write_text

RULES_FILE = "prometheus_rules.yaml"

#: Names of the scrape jobs in `configs/prometheus_config.yaml`.
ENDPOINT_JOB, EXPORTER_JOB, PUSHGATEWAY_JOB = "bridge_assets_endpoint", "bridge_assets_exporter", "pushgateway"

_HEADER = """\
# Written by `make rules` from bridge_assets/alerting/prometheus_alerts.py: change that file, not this one.
"""

#: Windows of the error ratios that are recorded: those of `BURN_RATES`.
_WINDOWS = ("5m", "30m", "1h", "6h")


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


def rule_groups(thresholds: Thresholds = Thresholds()) -> list[RuleGroup]:  # frozen
    """All rules.

    Parameters
    ----------
    thresholds : Thresholds
    """
    return [
        RuleGroup("bridge_assets_objective", [*_ratios(thresholds), *_burn_alerts(thresholds)]),
        RuleGroup("bridge_assets_endpoint", list(_endpoint_alerts(thresholds))),
        RuleGroup("bridge_assets_batch", list(_batch_alerts(thresholds))),
        RuleGroup("bridge_assets_evidence", list(_evidence_alerts())),
        RuleGroup("bridge_assets_machinery", list(_machinery_alerts(thresholds))),
    ]


def write_rules(path: Path, thresholds: Thresholds = Thresholds()) -> Path:  # frozen
    """Write the YAML that `rule_files` of Prometheus names."""
    write_text(_HEADER + rules_yaml(rule_groups(thresholds)), path)
    return path


def _ratios(thresholds: Thresholds) -> Iterator[Rule]:
    predictions = 'bridge_assets_requests_total{purpose="predict"}'
    failures = 'bridge_assets_request_errors_total{purpose="predict",reason=~"internal|overloaded"}'
    seconds, at_most = "bridge_assets_request_seconds", f'purpose="predict",le="{thresholds.slow_seconds!r}"'
    for window in _WINDOWS:
        yield RecordingRule(
            f"job:bridge_assets_prediction_errors:ratio_rate{window}",
            f"sum by (job) (rate({failures}[{window}])) / sum by (job) (rate({predictions}[{window}]))",
        )
        yield RecordingRule(
            f"job:bridge_assets_prediction_slow:ratio_rate{window}",
            f"1 - sum by (job) (rate({seconds}_bucket{{{at_most}}}[{window}])) "
            f'/ sum by (job) (rate({seconds}_count{{purpose="predict"}}[{window}]))',
        )
        yield RecordingRule(
            f"job:bridge_assets_predictions:increase{window}", f"sum by (job) (increase({predictions}[{window}]))"
        )


def _burn_alerts(thresholds: Thresholds) -> Iterator[Rule]:
    whats = (
        ("Errors", "errors", thresholds.errors, "fail with an error of the server"),
        ("Latency", "slow", thresholds.slow, f"take longer than {thresholds.slow_seconds:g} s"),
    )
    dos = {
        "errors": "Read the server's log (event failed, or answered with status 503). After a new version: "
        "bridge-assets rollback.",
        "slow": "Look at requests in progress and rows per request; add replicas, or ask clients for smaller requests.",
    }
    for title, metric, budget, what in whats:
        for burn in BURN_RATES:
            ratio, limit = f"job:bridge_assets_prediction_{metric}:ratio_rate", f"{burn.rate * budget:g}"
            yield AlertRule(
                f"Prediction{title}{burn.name}Burn",
                f"{ratio}{burn.long} > {limit} and {ratio}{burn.short} > {limit} "
                f"and job:bridge_assets_predictions:increase{burn.long} >= {thresholds.least_requests}",
                burn.lasting,
                burn.severity,
                f"{{{{ $value | humanizePercentage }}}} of the predictions of the last {burn.long} {what}: "
                f"{burn.rate:g} times what the objective allows",
                dos[metric],
            )


def _endpoint_alerts(thresholds: Thresholds) -> Iterator[Rule]:
    yield AlertRule(
        "EndpointDown",
        f'up{{job="{ENDPOINT_JOB}"}} == 0',
        thresholds.down_for,
        "page",
        "The endpoint {{ $labels.instance }} does not answer",
        "Look whether the process runs and what its log says last; `bridge-assets serve` starts it. If it runs, look "
        "whether Prometheus sends its token.",
    )
    yield AlertRule(
        "EndpointUnknown",
        f'absent(up{{job="{ENDPOINT_JOB}"}})',
        "15m",
        "ticket",
        "Prometheus scrapes no endpoint",
        f"Name its address in the job {ENDPOINT_JOB} of prometheus_config.yaml.",
    )
    yield AlertRule(
        "SeveralModelVersions",
        "count by (job) (count by (job, version) (bridge_assets_model_info == 1)) > 1",
        "30m",
        "ticket",
        "{{ $value }} versions of the model answer behind {{ $labels.job }}",
        "Compare bridge_assets_model_info of the instances; deploy the version again that should serve.",
    )


def _batch_alerts(thresholds: Thresholds) -> Iterator[Rule]:
    scored = 'bridge_assets_asset_last_materialization_timestamp_seconds{asset="bridge_predictions"}'
    schedule = 'bridge_assets_instigator_running{name="weekly_scoring"}'
    yield AlertRule(
        "ScoresLate",
        f"time() - {scored} > {thresholds.scores_late_seconds:g} and on () {schedule} == 1",
        "15m",
        "ticket",
        "The last scores are {{ $value | humanizeDuration }} old although weekly_scoring is switched on",
        "Look at the ticks of weekly_scoring in the Dagster UI; `bridge-assets run --job scoring` scores now.",
    )
    yield AlertRule(
        "JobFailing",
        "bridge_assets_job_last_failure_timestamp_seconds > bridge_assets_job_last_success_timestamp_seconds "
        "or bridge_assets_job_last_failure_timestamp_seconds unless bridge_assets_job_last_success_timestamp_seconds",
        "1h",
        "ticket",
        "The last run of {{ $labels.dagster_job }} failed",
        "The run in the Dagster UI says why and what to do.",
    )
    yield AlertRule(
        "PushedRunFailed",
        "bridge_assets_run_success == 0",
        "1h",
        "ticket",
        "The last run of {{ $labels.dagster_job }} failed, says the Pushgateway",
        "The run in the Dagster UI says why and what to do.",
    )
    yield AlertRule(
        "RunStuck",
        f'time() - bridge_assets_runs_open_since_timestamp_seconds{{status=~"started|canceling"}} > '
        f"{thresholds.run_seconds:g}",
        "5m",
        "ticket",
        "A run has been {{ $labels.status }} for {{ $value | humanizeDuration }}",
        "Look at it in the Dagster UI; if its process is gone, terminate it there.",
    )
    yield AlertRule(
        "QueueStuck",
        f'time() - bridge_assets_runs_open_since_timestamp_seconds{{status=~"queued|not_started|starting"}} > '
        f"{thresholds.queue_seconds:g}",
        "5m",
        "ticket",
        "A run has been {{ $labels.status }} for {{ $value | humanizeDuration }}",
        "Look whether Dagster's daemon runs and whether another run holds the concurrency limit.",
    )


def _evidence_alerts() -> Iterator[Rule]:
    yield AlertRule(
        "DriftError",
        'bridge_assets_check_failed{asset=~"drift_report|realised_quality",severity="ERROR"} == 1',
        "5m",
        "page",
        "{{ $labels.asset }}: {{ $labels.check }} failed: the model meets bridges that it was not trained for",
        "Open the drift report of the latest survey year; retrain, or acknowledge it with a reason.",
    )
    yield AlertRule(
        "DriftWarning",
        'bridge_assets_check_failed{asset=~"drift_report|realised_quality",severity="WARN"} == 1',
        "5m",
        "ticket",
        "{{ $labels.asset }}: {{ $labels.check }} warns",
        "Open the drift report of the latest survey year.",
    )
    yield AlertRule(
        "DataQuality",
        'bridge_assets_check_failed{asset!~"drift_report|realised_quality",severity="ERROR"} == 1',
        "15m",
        "ticket",
        "The check {{ $labels.check }} of {{ $labels.asset }} fails",
        "Its result in the Dagster UI has the numbers and what to do. No model is promoted on these data.",
    )
    yield AlertRule(
        "AssetOverdue",
        "bridge_assets_asset_freshness == 2",
        "1h",
        "ticket",
        "{{ $labels.asset }} is overdue",
        "Its freshness policy in the Dagster UI says by when it should have been materialized.",
    )


def _machinery_alerts(thresholds: Thresholds) -> Iterator[Rule]:
    yield AlertRule(
        "ExporterDown",
        f'up{{job="{EXPORTER_JOB}"}} == 0 or absent(up{{job="{EXPORTER_JOB}"}})',
        thresholds.down_for,
        "ticket",
        "The exporter does not answer: nobody watches jobs, checks and drift",
        "Start it with `bridge-assets exporter`, and name its address in prometheus_config.yaml.",
    )
    yield AlertRule(
        "ExporterBlind",
        "bridge_assets_exporter_part_success == 0",
        "10m",
        "ticket",
        "The exporter cannot read {{ $labels.part }} of the Dagster instance",
        "Its log says why: a storage that is locked, or gone.",
    )
    yield AlertRule(
        "DaemonSilent",
        f"time() - bridge_assets_daemon_heartbeat_timestamp_seconds > {thresholds.silent_seconds:g}",
        "5m",
        "page",
        "The daemon {{ $labels.daemon }} of Dagster was last seen {{ $value | humanizeDuration }} ago",
        "Sensors, schedules and the queue stand still: start dagster-daemon again.",
    )
    yield AlertRule(
        "TicksFailing",
        "bridge_assets_last_tick_failed == 1 and bridge_assets_instigator_running == 1",
        "15m",
        "ticket",
        "The {{ $labels.kind }} {{ $labels.name }} fails",
        "Its last tick in the Dagster UI has the error.",
    )
    yield AlertRule(
        "AlertsNotDelivered",
        'bridge_assets_alerts_waiting{state="pending"} > 0',
        "1h",
        "ticket",
        "{{ $value }} alerts of Dagster have been waiting for Slack for an hour",
        "The last tick of the sensor `alerts` says what Slack answers.",
    )
    free = "bridge_assets_disk_free_bytes"
    yield AlertRule(
        "DiskAlmostFull",
        f"{free} / bridge_assets_disk_size_bytes < {thresholds.disk_free:g} or predict_linear({free}[6h], 86400) < 0 "
        f"and {free} / bridge_assets_disk_size_bytes < {3 * thresholds.disk_free:g}",
        "15m",
        "ticket",
        "The disk of the platform is almost full, or will be within a day",
        "Delete old runs of Dagster, old model versions, or reports; or enlarge the disk.",
    )
    yield AlertRule(
        "EventLogLarge",
        f"bridge_assets_event_log_bytes > {thresholds.event_log_bytes:g}",
        "1h",
        "ticket",
        "Dagster's history takes {{ $value | humanize1024 }}B",
        "The job `retention` removes old runs, and nothing that the gate needs (docs/operations.md).",
    )


if __name__ == "__main__":
    write_rules(Path(sys.argv[1]) if len(sys.argv) > 1 else config_folder() / RULES_FILE)
