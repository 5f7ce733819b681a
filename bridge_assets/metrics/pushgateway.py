"""Pushes the end of each run to a Pushgateway of Prometheus, if `prometheus.pushgateway` in environment.yaml names one.

A run ends before a scrape could read anything of it; the Pushgateway keeps what it pushed last. It hangs on Dagster's
instance (`python_logs` in configs/dagster.yaml), as `pipeline_metrics` does. A run waits `PUSH_SECONDS` for the gateway
and no longer, whatever it does.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from bridge_assets.errors import error_summary
from bridge_assets.metrics.pipeline_metrics import ROW_COUNTS
from bridge_assets.settings.environment import EnvironmentSettings

if TYPE_CHECKING:
    from dagster import DagsterEvent

#: Seconds that a run waits for the Pushgateway at most, name resolution included.
PUSH_SECONDS = 1.5

#: The label `job` of what is pushed.
PUSH_JOB = "bridge_assets"

#: Runs of this process that have not ended, of which something is remembered.
_MAX_OPEN_RUNS = 100

#: Outcome of each event that ends a run; None = canceled, which is neither.
_OUTCOMES = {"PIPELINE_SUCCESS": 1.0, "PIPELINE_FAILURE": 0.0, "PIPELINE_CANCELED": None}


@dataclass
class PushedRun:
    """What is pushed of a run.

    Attributes
    ----------
    started : float
        Seconds since the epoch.
    rows : dict
        Asset -> rows that it was materialized with, of all its survey years.
    """

    started: float
    rows: dict[str, float] = field(default_factory=dict)

    def add_rows(self, event: DagsterEvent) -> None:
        """Add those of a materialization."""
        materialization = event.step_materialization_data.materialization
        values = [getattr(materialization.metadata.get(name), "value", None) for name in ROW_COUNTS]
        asset = materialization.asset_key.to_user_string()
        for value in [each for each in values if isinstance(each, int | float)][:1]:
            self.rows[asset] = self.rows.get(asset, 0.0) + value


class PushgatewayHandler(logging.Handler):
    """Pushes at the end of each run. Nothing that goes wrong here stops a run: standard error says so once."""

    # Dagster makes a handler for a run and others for its steps: what they must know of each other is shared.
    _runs: ClassVar[OrderedDict[str, PushedRun]] = OrderedDict()
    _said: ClassVar[bool] = False

    def __init__(self, address: str | None = None) -> None:
        super().__init__(logging.DEBUG)
        self._address = address

    def emit(self, record: logging.LogRecord) -> None:
        """Follow a log record of Dagster; records of anything else say nothing."""
        try:
            meta: dict[str, Any] = getattr(record, "dagster_meta", None) or {}
            if (event := meta.get("dagster_event")) and self.address:
                self._follow(event, str(meta.get("run_id", "")), record.created)
        except Exception as error:  # whatever it is, the run goes on
            self._say(error)

    @property
    def address(self) -> str:
        """The Pushgateway; empty = there is none. Raises SettingsError if environment.yaml cannot be used."""
        if self._address is None:
            self._address = ""  # said once if the settings are wrong
            self._address = EnvironmentSettings.load().prometheus.pushgateway
        return self._address

    def _follow(self, event: DagsterEvent, run_id: str, at: float) -> None:
        kind = event.event_type_value
        if kind == "PIPELINE_START":
            self._runs[run_id] = PushedRun(at)
            if len(self._runs) > _MAX_OPEN_RUNS:
                self._runs.popitem(last=False)
        elif kind == "ASSET_MATERIALIZATION" and run_id in self._runs:
            self._runs[run_id].add_rows(event)
        elif kind in _OUTCOMES:
            run = self._runs.pop(run_id, None)
            self._push(event.job_name or "", _families(run, at, _OUTCOMES[kind]))

    def _push(self, job: str, families: Sequence[Any]) -> None:
        """Push in a thread, for which the run waits: a timeout of a socket bounds neither DNS nor slow answers."""
        failed: list[BaseException] = []
        thread = threading.Thread(target=self._send, args=(job, families, failed), daemon=True)
        thread.start()
        thread.join(PUSH_SECONDS)
        if thread.is_alive():
            failed.append(TimeoutError(f"it did not answer within {PUSH_SECONDS:g} s"))
        if failed:
            self._say(failed[0])

    def _send(self, job: str, families: Sequence[Any], failed: list[BaseException]) -> None:
        from prometheus_client import pushadd_to_gateway

        try:
            # `add`: what a failed run does not push, such as the last success, stays as it was.
            pushadd_to_gateway(self.address, PUSH_JOB, _Families(families), {"dagster_job": job}, PUSH_SECONDS)
        except Exception as error:
            failed.append(error)

    def _say(self, error: BaseException) -> None:
        if not PushgatewayHandler._said:
            PushgatewayHandler._said = True
            sys.stderr.write(
                f"metrics of this run are not pushed to {self._address or 'a Pushgateway'}: {error_summary(error)}. "
                "Start it there, or empty prometheus.pushgateway in environment.yaml\n"
            )


class _Families:
    """A registry of metric families."""

    def __init__(self, families: Sequence[Any]) -> None:
        self._families = families

    def collect(self) -> Sequence[Any]:
        return self._families


def _families(run: PushedRun | None, at: float, success: float | None) -> list[Any]:
    from prometheus_client.core import GaugeMetricFamily

    at = at or time.time()
    families = [GaugeMetricFamily("bridge_assets_run_end_timestamp_seconds", "End of the last run.", value=at)]
    if success is not None:
        families.append(GaugeMetricFamily("bridge_assets_run_success", "1 if it succeeded, 0 if not.", value=success))
    if run is not None:
        families.append(
            GaugeMetricFamily("bridge_assets_run_duration_seconds", "How long it took.", value=at - run.started)
        )
    if success:
        families.append(
            GaugeMetricFamily("bridge_assets_run_last_success_timestamp_seconds", "End of the last success.", value=at)
        )
    if run is not None and run.rows:
        rows = GaugeMetricFamily("bridge_assets_run_rows", "Rows that it wrote, by asset.", labels=["asset"])
        for asset, count in sorted(run.rows.items()):
            rows.add_metric([asset], count)
        families.append(rows)
    return families
