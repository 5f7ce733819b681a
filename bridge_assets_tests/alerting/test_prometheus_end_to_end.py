"""Prometheus scrapes the served app, an alert fires, Alertmanager tells Slack; it resolves, and says so."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import httpx
import pytest
from support.deployment.local_endpoint import make_model_version
from support.prometheus.servers import query, until
from support.prometheus.watched_platform import CONFIGS, WatchedPlatform, watched_platform

from bridge_assets.deployment.core.bundle import bundle_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> Iterator[WatchedPlatform]:
    folder = tmp_path_factory.mktemp("watched")
    archive = bundle_of(make_model_version(folder / "models", 0)).write(folder / "bundle.tar.gz")
    with watched_platform(folder, archive) as platform:
        yield platform


def expressions(value: object) -> Iterator[str]:
    """Every `expr` in the JSON of a dashboard."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "expr":
                yield inner
            yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def test_every_target_of_the_configuration_is_scraped(platform):
    assert until(lambda: len(query(platform.prometheus, "up == 1")) == 3)
    assert httpx.get(f"{platform.endpoint}/metrics").status_code == 401  # Prometheus has the token


def test_every_query_of_the_dashboard_has_a_series(platform):
    missing = set(expressions(json.loads((CONFIGS / "grafana_dashboard.json").read_text())))
    assert len(missing) >= 30

    def has_number(expression: str) -> bool:
        series = query(platform.prometheus, expression.replace("$__rate_interval", "20s"))
        return any(math.isfinite(float(each["value"][1])) for each in series)

    def all_answered() -> bool:
        for age in (1, 20, 40):  # predictions, and an error that a client made
            platform.predict({"instances": [{"age": age}] * age}).raise_for_status()
        assert platform.predict({}).status_code == 422
        missing.difference_update([each for each in missing if has_number(each)])
        return not missing

    until(all_answered, every=0.5)
    assert missing == set()


def test_what_the_instance_says_becomes_an_alert(platform):
    def firing() -> set[str]:
        alerts = httpx.get(f"{platform.prometheus}/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts}

    assert until(lambda: {"DriftWarning", "DaemonSilent"} <= firing())


def test_an_endpoint_that_stops_is_told_on_slack_and_its_return_too(platform):
    assert until(lambda: query(platform.prometheus, 'up{job="bridge_assets_endpoint"} == 1'))
    earlier = len(platform.slack.messages)

    def told(title: str) -> list[str]:
        return [message for message in platform.slack.messages[earlier:] if message.startswith(title)]

    platform.stop_endpoint()
    message = (until(lambda: told("page: EndpointDown")) or [""])[0]
    assert f"The endpoint {platform.endpoint.removeprefix('http://')} does not answer" in message
    assert "What to do: Look whether the process runs" in message
    assert told("resolved: EndpointDown") == []
    platform.start_endpoint()
    message = (until(lambda: told("resolved: EndpointDown")) or [""])[0]
    assert "No longer so: The endpoint" in message
    assert "What to do" not in message
