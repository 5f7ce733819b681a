"""`health` and `retention` in `environment.yaml`: when the Dagster instance is unwell, and what is removed from it."""

from __future__ import annotations

from pydantic import Field

from bridge_assets.settings.base import StrictModel


class HealthSettings(StrictModel):
    """Limits of the checks of `instance_health`."""

    silent_minutes: float = Field(default=120, gt=0, description="A run in progress without an event for this long.")
    slow_factor: float = Field(default=4, gt=1, description="A run that takes this many times its job's median.")
    slow_minutes: float = Field(default=30, ge=0, description="A run is not slow before this, whatever the median.")
    queued_minutes: float = Field(default=60, gt=0, description="A run that waits in the queue, or to start, so long.")
    tick_minutes: float = Field(default=10, gt=0, description="A tick of a sensor or schedule is missed after this.")
    heartbeat_minutes: float = Field(default=30, gt=0, description="A daemon is dead after this; Dagster's own limit.")
    free_gb: float = Field(default=5, ge=0, description="Least free space on the disks of home and DAGSTER_HOME.")
    storage_gb: float = Field(default=5, gt=0, description="Largest size of Dagster's storage, with SQLite.")


class RetentionSettings(StrictModel):
    """What the job `retention` removes from Dagster's storage. It never removes what the gate needs."""

    days: int = Field(default=400, ge=1, description="Runs that ended longer ago, with their events and ticks.")
    dry_run: bool = Field(default=True, description="Only list what would be removed.")
