"""A sensor or schedule in Dagster's storage, and its ticks, as the daemon writes them."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_shared.error import SerializableErrorInfo


@dataclass
class Instigator:
    """A sensor or schedule as the daemon stores it."""

    instance: dg.DagsterInstance
    name: str
    kind: InstigatorType = InstigatorType.SENSOR
    status: InstigatorStatus = InstigatorStatus.RUNNING
    count: int = 0

    def __post_init__(self) -> None:
        location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="bridge_assets.definitions"))
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), self.name)
        sensor = self.kind is InstigatorType.SENSOR
        data = SensorInstigatorData() if sensor else ScheduleInstigatorData("0 5 * * 1", 0.0)
        self.state = InstigatorState(origin, self.kind, self.status, data)
        self.instance.add_instigator_state(self.state)

    def tick(self, status: TickStatus, error: str = "") -> None:
        self.count += 1
        cause = SerializableErrorInfo(f"SourceError: {error}\n", [], "SourceError")
        outer = SerializableErrorInfo("SensorExecutionError: Error in sensor\n", [], "SensorExecutionError", cause)
        self.instance.create_tick(
            TickData(
                self.state.instigator_origin_id,
                self.name,
                self.kind,
                status,
                1_790_000_000.0 + self.count,
                run_ids=[],
                run_keys=[],
                error=outer if error else None,
                selector_id=self.state.selector_id,
            )
        )
