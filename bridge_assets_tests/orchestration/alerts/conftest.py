"""A Dagster instance on SQLite as `bridge-assets dev` uses it, small assets with checks, and ticks of the sensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.alerting.slack_receiver import SlackReceiver, slack_receiver

from bridge_assets.orchestration.alerts.sensor import send_alerts
from bridge_assets.orchestration.resources import Platform


@dataclass
class Watched:
    """Runs of `definitions` on `instance`, and ticks of the sensor. `state` is what the assets and checks look at."""

    instance: dg.DagsterInstance
    definitions: dg.Definitions
    state: dict[str, Any]
    cursor: str | None = None
    skipped: list[str] = field(default_factory=list)

    def run(self, job: str = "all", **options: Any) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **options
        )

    def tick(self, save_cursor: bool = True) -> str:
        """One tick; returns what it says. Without saving the cursor, it is as if the daemon was killed before."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"platform": Platform()},
            definitions=self.definitions,
        ) as context:
            reason = send_alerts(context).skip_message or ""
            if save_cursor:
                self.cursor = context.cursor
        return reason


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackReceiver]:
    with slack_receiver() as receiver:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", receiver.url)
        yield receiver


@pytest.fixture(params=["sqlite", "memory"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    folder = tmp_path / "dagster"
    folder.mkdir()
    if request.param == "memory":
        with dg.DagsterInstance.ephemeral() as ephemeral:
            yield ephemeral
        return
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\nrun_retries:\n  enabled: true\n")
    with dg.DagsterInstance.from_config(str(folder)) as on_disk:
        yield on_disk


@pytest.fixture
def watched(instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """`raw_bridges` with the checks `rows` (not blocking), `schema` (blocking) and `doubts` (a warning), and
    `bridge_model`, which depends on it. The first tick has been made.
    """
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    state: dict[str, Any] = {"rows": True, "schema": True, "doubts": True, "error": None}

    @dg.asset(owners=["team:bridge-data"])
    def raw_bridges() -> None:
        pass

    @dg.asset(owners=["team:bridge-models"], deps=[raw_bridges])
    def bridge_model() -> None:
        error = state["error"]
        if isinstance(error, Exception):
            raise error

    def check(name: str, blocking: bool, severity: dg.AssetCheckSeverity) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=raw_bridges, name=name, blocking=blocking)
        def evaluate() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(
                passed=bool(state[name]),
                severity=severity,
                description=f"{name}: 5 rows <b>differ</b>",
                metadata={"problems": 5, "rows": 620000, "share": 0.125, "file": "x.txt"},
            )

        return evaluate

    definitions = dg.Definitions(
        assets=[raw_bridges, bridge_model],
        asset_checks=[
            check("rows", False, dg.AssetCheckSeverity.ERROR),
            check("schema", True, dg.AssetCheckSeverity.ERROR),
            check("doubts", False, dg.AssetCheckSeverity.WARN),
        ],
        jobs=[dg.define_asset_job("all")],
    )
    watched = Watched(instance, definitions, state)
    watched.tick()
    return watched


@pytest.fixture
def failing(watched: Watched) -> Callable[..., dg.ExecuteInProcessResult]:
    """Run with the named checks failing."""

    def run(*names: str) -> dg.ExecuteInProcessResult:
        watched.state.update({name: name not in names for name in ("rows", "schema", "doubts")})
        return watched.run()

    return run
