"""Rules about the served app: its objective, and whether it answers."""

from __future__ import annotations

from collections.abc import Iterator

from bridge_assets.alerting.rules.rule import AlertRule, RecordingRule, Rule
from bridge_assets.alerting.rules.thresholds import BURN_RATES, ENDPOINT_JOB, Thresholds

#: Windows of the error ratios that are recorded: those of `BURN_RATES`.
_WINDOWS = ("5m", "30m", "1h", "6h")


def ratios(thresholds: Thresholds) -> Iterator[Rule]:
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


def burn_alerts(thresholds: Thresholds) -> Iterator[Rule]:
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


def endpoint_alerts(thresholds: Thresholds) -> Iterator[Rule]:
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
