"""The loop over the last years of the sample, into which a shift is put: detected, retrained, promoted, rolled back.

A bad retraining is refused while the champion goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest
from support.alerting.slack_receiver import slack_receiver
from support.deployment.bad_outcomes import lower_ratings
from support.small_platform import SmallPlatform, defs, error_messages

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.orchestration.gate.alarms import alarm_objections, open_alarms
from bridge_assets.orchestration.resources import Platform
from bridge_assets.registry.register import configured_registry
from bridge_assets.settings import MlflowSettings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SHIFTED = (2016, 2018)
REASON = "Looked at the comparison with the bridge office"


@pytest.fixture
def loop(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallPlatform]:
    """The small platform without a cool-down; the champion of the registry, which is not restored with it, is kept."""
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__RETRAINING__COOL_DOWN_DAYS", "0")
    registry = configured_registry(MlflowSettings(), platform.home, "bridge_fall")
    champion = registry.aliases()["champion"]
    yield platform
    registry.set_alias("champion", champion)


@contextmanager
def instance_of(platform: SmallPlatform) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as instance:
        yield instance


def tick(sensor: str) -> dg.RunRequest | str:
    """Evaluate a sensor once: the run that it requests, or why it requests none."""
    with dg.DagsterInstance.get() as instance:
        context = dg.build_sensor_context(
            instance, resources={"platform": Platform()}, repository_def=defs.get_repository_def()
        )
        data = defs.resolve_sensor_def(sensor).evaluate_tick(context)
    [request] = data.run_requests or [None]
    return request or data.skip_message or ""


def run(request: dg.RunRequest | str, job: str) -> dg.ExecuteInProcessResult:
    """Run what a sensor requests, as the daemon would."""
    assert isinstance(request, dg.RunRequest), request
    assert request.job_name in (job, None)
    with dg.DagsterInstance.get() as instance:
        return defs.resolve_job_def(job).execute_in_process(
            instance=instance, run_config={**request.run_config, **QUIET}, tags=request.tags, raise_on_error=False
        )


def served(platform: SmallPlatform) -> str:
    return LocalEndpoint(platform.home / "endpoints" / "local").current() or ""


def arrive(platform: SmallPlatform, points: int, years: tuple[int, int] = SHIFTED) -> None:
    """New files of the last years arrive and are loaded, scored and judged: every bridge is worse."""
    for year in range(years[0], years[1] + 1):
        lower_ratings(platform.home / "sample" / f"NBI_{year}.txt", points)
    result = platform.run("latest_year", years)
    assert not result.checks["realised_quality:as_expected"][0], result.checks["realised_quality:as_expected"]


def test_a_shift_is_detected_retrained_promoted_and_rolled_back(loop, monkeypatch) -> None:
    first = served(loop)
    assert "has seen every survey year that has features" in str(tick("retraining"))
    assert "a person promotes it" in str(tick("promotion"))

    arrive(loop, 2)
    with instance_of(loop) as instance:
        assert {alarm.model_version for alarm in open_alarms(instance)} == {first}
        assert alarm_objections(instance, first)
    request = tick("retraining")
    assert isinstance(request, dg.RunRequest), request
    assert "Survey years whose records changed since: 2016, 2017, 2018." in request.tags["bridge_assets/retraining"]
    trained = run(request, "retraining")
    assert trained.success, error_messages(trained)
    assert served(loop) == first

    waits = str(tick("promotion"))
    assert "waits for approval: materialise approved_model with a reason" in waits
    challenger = waits.split()[1]
    refused = loop.materialize("approved_model")
    assert f"model version {challenger} is not approved: the reason '' is too short" in error_messages(refused)
    approved = loop.materialize("approved_model", config={"reason": REASON})
    assert approved.success, error_messages(approved)
    with slack_receiver() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        promoted = run(tick("promotion"), "promotion")
        assert promoted.success, error_messages(promoted)
        assert any(f"local_endpoint serves model {challenger} in place of {first}" in each for each in slack.messages)
    monkeypatch.delenv("SLACK_WEBHOOK_URL")
    assert served(loop) == challenger
    assert tick("promotion") == f"Model {challenger} serves."
    assert "has seen every survey year" in str(tick("retraining"))

    assert "a person rolls back" in str(tick("automatic_rollback"))
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__RETRAINING__ROLLBACK", "automatic")
    assert "No endpoint that was promoted lately fails" in str(tick("automatic_rollback"))
    (loop.home / "endpoints" / "local" / "current" / "model.onnx").write_bytes(b"damaged")
    with instance_of(loop) as instance:
        smoke = defs.resolve_job_def("smoke_checks").execute_in_process(
            instance=instance, run_config=QUIET, raise_on_error=False
        )
    assert not all(each.passed for each in smoke.get_asset_check_evaluations())
    with instance_of(loop) as instance:  # anybody who reaches the web server can post this
        posted = dg.AssetCheckEvaluation(dg.AssetKey("local_endpoint"), "canary_passes", passed=True, metadata={})
        instance.report_runless_asset_event(posted)
    back = run(tick("automatic_rollback"), "rollback_local")
    assert back.success, error_messages(back)
    assert served(loop) == first
    assert "a person decides" in str(tick("promotion"))
    assert "No endpoint that was promoted lately fails" in str(tick("automatic_rollback"))


def correct(platform: SmallPlatform) -> None:
    """A corrected file of the last year arrives, with other ratings of some bridges; features are computed from it."""
    lower_ratings(platform.home / "sample" / "NBI_2018.txt", 1, every=15)
    assert platform.run("inventory", (2018, 2018)).success
    assert platform.materialize("bridge_features", partition="2018").success


def test_a_bad_retraining_is_refused_and_a_good_one_needs_no_person(loop, monkeypatch) -> None:
    first = served(loop)
    correct(loop)
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__RETRAINING__PROMOTION", "automatic")
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__RETRAINING__COOL_DOWN_DAYS", "30")
    assert "the cool-down ends on" in str(tick("retraining"))
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__RETRAINING__COOL_DOWN_DAYS", "0")
    with monkeypatch.context() as bad:
        bad.setenv("BRIDGE_ASSETS_MODEL__FOREST__LEAF", "100000")  # one leaf: the same probability for every bridge
        bad.setenv("BRIDGE_ASSETS_MODEL__GATE__CHAMPION_AUC_LOSS", "0")
        refused = run(tick("retraining"), "retraining")
    assert not refused.success
    evaluations = [each for each in refused.get_asset_check_evaluations() if not each.passed]
    failed = [each.check_name for each in evaluations if each.severity is dg.AssetCheckSeverity.ERROR]
    assert failed == ["not_worse_than_champion"]
    assert "a person promotes it" in str(tick("promotion"))
    assert "has seen every survey year" in str(tick("retraining"))
    assert served(loop) == first

    correct(loop)
    trained = run(tick("retraining"), "retraining")
    assert trained.success, error_messages(trained)
    promoted = run(tick("promotion"), "promotion")
    assert promoted.success, error_messages(promoted)
    assert served(loop) not in (first, "")
    assert tick("promotion") == f"Model {served(loop)} serves."
