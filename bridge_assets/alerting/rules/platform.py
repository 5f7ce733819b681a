"""Rules about everything else: runs, the evidence of checks, and the machinery."""

from __future__ import annotations

from collections.abc import Iterator

from bridge_assets.alerting.rules.rule import AlertRule, Rule, Severity
from bridge_assets.alerting.rules.thresholds import EXPORTER_JOB, Thresholds

#: Groups of assets (`orchestration.groups`, which is above) whose checks are about data.
DATA_GROUPS = "1_inventory|2_warehouse|3_features"


def batch_alerts(thresholds: Thresholds) -> Iterator[Rule]:
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


def evidence_alerts() -> Iterator[Rule]:
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
    watched, endpoints = "drift_report|realised_quality", "5_endpoints"
    kinds: tuple[tuple[str, str, Severity], ...] = (
        ("DataQuality", f'group=~"{DATA_GROUPS}"', "ticket"),
        ("EndpointCheckFailing", f'group="{endpoints}"', "page"),
        ("CheckFailing", f'group!~"{DATA_GROUPS}|{endpoints}",asset!~"{watched}"', "ticket"),
    )
    for name, labels, severity in kinds:
        yield AlertRule(
            name,
            f'bridge_assets_check_failed{{{labels},severity="ERROR"}} == 1',
            "15m",
            severity,
            "The check {{ $labels.check }} of {{ $labels.asset }} fails",
            "Its result in the Dagster UI has the numbers and what to do.",
        )
    yield AlertRule(
        "AssetOverdue",
        "bridge_assets_asset_freshness == 2",
        "1h",
        "ticket",
        "{{ $labels.asset }} is overdue",
        "Its freshness policy in the Dagster UI says by when it should have been materialized.",
    )


def machinery_alerts(thresholds: Thresholds) -> Iterator[Rule]:
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
        f"and {free} / bridge_assets_disk_size_bytes < {3 * thresholds.disk_free:g} and {free} offset 3h",
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
