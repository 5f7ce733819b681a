"""The rules of Prometheus: in step with their YAML, each tested, and accepted by Prometheus with its configuration."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support.prometheus.servers import program

from bridge_assets.alerting.prometheus_alerts import rule_groups, write_rules
from bridge_assets.alerting.rules.rule import AlertRule, RecordingRule, RuleGroup, duration, rules_yaml
from bridge_assets.alerting.rules.thresholds import BURN_RATES, Thresholds
from bridge_assets.metrics.prometheus_metrics import LATENCY_BUCKETS, PREDICTION_BUCKETS
from bridge_assets.orchestration import groups

CONFIGS = Path(__file__).parents[2] / "configs"
UNIT_TESTS = Path(__file__).with_name("prometheus_rules_test.yaml")
RULES = [rule for group in rule_groups() for rule in group.rules]
ALERTS = [rule for rule in RULES if isinstance(rule, AlertRule)]


def test_the_yaml_is_in_step_with_python(tmp_path):
    written = write_rules(tmp_path / "rules.yaml").read_text()
    assert (CONFIGS / "prometheus_rules.yaml").read_text() == written, "`make rules` writes it again"
    assert yaml.safe_load(written)["groups"] == [group.as_dict() for group in rule_groups()]


def test_prometheus_accepts_the_configuration_and_the_rules():
    config = CONFIGS / "prometheus_config.yaml"
    ran = subprocess.run([program("promtool"), "check", "config", config], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(RULES)} rules found" in ran.stdout


def test_the_unit_tests_of_the_rules_pass():
    ran = subprocess.run(
        [program("promtool"), "test", "rules", UNIT_TESTS], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_fires_in_one_unit_test_and_stays_silent_in_another():
    cases = [
        case for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"] for case in test.get("alert_rule_test", [])
    ]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert firing == silent == {alert.alert for alert in ALERTS}


def test_the_groups_are_those_of_the_graph():
    checks = [alert for alert in ALERTS if "group" in alert.expr]
    named = {group for alert in checks for group in re.findall(r"\d_\w+", alert.expr)}
    assert named == {groups.INVENTORY, groups.WAREHOUSE, groups.FEATURES, groups.ENDPOINTS}


def test_a_latency_objective_is_a_bucket():
    assert Thresholds().slow_seconds in LATENCY_BUCKETS


@pytest.mark.parametrize("burn", BURN_RATES, ids=lambda burn: burn.name)
def test_the_windows_are_those_of_the_workbook(burn):
    minutes = {"m": 1, "h": 60}
    long, short = (int(window[:-1]) * minutes[window[-1]] for window in (burn.long, burn.short))
    assert long == 12 * short
    share_of_budget = burn.rate * long / (30 * 24 * 60)
    assert share_of_budget == pytest.approx({"Fast": 0.02, "Slow": 0.05}[burn.name])
    # A third of all requests failing must be able to reach it.
    assert burn.rate * max(Thresholds().errors, Thresholds().slow) < 0.33


def test_every_alert_says_what_to_do_and_names_only_labels_that_it_has():
    for alert in ALERTS:
        assert alert.summary[0].isupper() or alert.summary.startswith("{{"), alert.alert
        assert alert.do.endswith("."), alert.alert
        assert not re.search(r"\$labels\.(route|path)", alert.summary)


def test_a_rule_that_prometheus_could_not_tell_apart_or_read_is_an_error():
    record = RecordingRule("job:x:rate5m", "rate(x[5m])")
    with pytest.raises(ValueError, match=r"several rules are named job:x:rate5m"):
        rules_yaml([RuleGroup("one", [record]), RuleGroup("two", [record])])
    with pytest.raises(ValueError, match="'5 minutes' is not a duration"):
        duration("5 minutes")
    with pytest.raises(ValueError, match="'x' is not the name of a recorded metric"):
        RecordingRule("x", "y")
    with pytest.raises(ValueError, match="says what happened and what to do"):
        AlertRule("X", "up == 0", "1m", "page", "It is down", "")


def test_alertmanager_accepts_its_configuration_and_holds_no_secret(tmp_path):
    text = (CONFIGS / "prometheus_alertmanager.yaml").read_text()
    assert not re.search(r"hooks\.slack\.com/services/\w", text)
    webhook = yaml.safe_load(text)["global"]["slack_api_url_file"]
    assert webhook.startswith("/etc/")
    severities = {alert.severity for alert in ALERTS}
    assert severities == {"page", "ticket"}


def test_every_metric_that_rules_dashboard_and_docs_name_is_exported():
    project = CONFIGS.parent
    sources = [*(project / "bridge_assets" / "metrics").glob("*.py")]
    sources += (project / "bridge_assets" / "orchestration" / "exporter").glob("*.py")
    exported = {
        name for path in sources for name in re.findall(r'"(bridge_assets_[a-z_]+)"', path.read_text(encoding="utf-8"))
    } | {f"bridge_assets_{output}" for output in PREDICTION_BUCKETS}
    pages = [CONFIGS / "prometheus_rules.yaml", CONFIGS / "grafana_dashboard.json", project / "docs" / "metrics.md"]
    named = {
        re.sub(r"_(total|bucket|count|sum)$", "", name)
        for page in pages
        for name in re.findall(r"(?<![\w:/\"])bridge_assets_[a-z_]*[a-z]\b(?!:)", page.read_text(encoding="utf-8"))
    }
    not_metrics = {group.name for group in rule_groups()} | {"bridge_assets_endpoint", "bridge_assets_exporter"}
    assert named - exported - not_metrics - {"bridge_assets_tests"} == set()
    assert len(named & exported) > 25
    # The table of the exporter leaves the prefix out.
    table = (project / "docs" / "metrics.md").read_text(encoding="utf-8").partition("| part |")[2].partition("\n\n")[0]
    short = {f"bridge_assets_{name}" for name in re.findall(r"`([a-z]+_[a-z_]+)`", table)} - {
        "bridge_assets_dagster_job"
    }
    read_by_parts = {
        name for name in exported if not re.search("run_|request|model_info|exporter|fall_|expected_", name)
    }
    assert short - exported == set()
    assert read_by_parts == short
