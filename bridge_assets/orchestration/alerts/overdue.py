"""What should have happened and did not: a survey year that is late, an endpoint that nobody probes.

Both are told once, and once more when they are made up for. `failing` (`Cursor.failing`) holds what was told.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from bridge_assets.alerting.text import utc_minute
from bridge_assets.data.lake import Lake
from bridge_assets.data.sources.lateness import FHWA_PAGE, PUBLICATION_DEADLINE
from bridge_assets.deployment.targets import REMOTE_TARGETS
from bridge_assets.settings import DataSettings
from bridge_assets.settings.environment import EnvironmentSettings

SCHEDULE, CANARY = "smoke_checks", "canary_passes"

#: Beginnings of the keys in `Cursor.failing`.
_LATE, _SILENT = "late year ", "silent "

#: Unfinished evaluations of a check that are passed over to find its last result.
_EVALUATIONS = 20

_ENDED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


@dataclass(frozen=True)
class OverdueEvent:
    """Something that is overdue, or that has come.

    Attributes
    ----------
    kind : str
        `late_year` or `silent_endpoint`, with `_recovered` if it has come.
    asset : AssetKey
        That it is about.
    summary, detail : str
        One line, and what is known and to do.
    series : str
        Tells this time from others, in the key of the message.
    """

    kind: str
    asset: dg.AssetKey
    summary: str
    detail: str
    series: str


def read_overdue(
    instance: dg.DagsterInstance,
    data: DataSettings,
    environment: EnvironmentSettings,
    failing: dict[str, tuple[float, float]],
    now: float,
) -> Iterator[OverdueEvent]:
    """What became overdue, and what has come.

    Parameters
    ----------
    instance : DagsterInstance
    data : DataSettings
    environment : EnvironmentSettings
    failing : dict
        `Cursor.failing`, which is changed.
    now : float
        Seconds since the epoch.
    """
    yield from _late_year(data, environment.alerts.late_year_days, failing, now)
    yield from _silent_endpoints(instance, _deployed(data, environment), environment.alerts.probe_hours, failing, now)


def _late_year(
    data: DataSettings, days: int, failing: dict[str, tuple[float, float]], now: float
) -> Iterator[OverdueEvent]:
    asset = dg.AssetKey("nbi_files")
    available = [] if data.uses_sample else Lake(data.lake).years_with_provenance("nbi_files")
    latest = max(available, default=None)
    if latest is None:  # a sample, or nothing was ever loaded
        return
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
    due = _due_year(today, days)
    for key in [key for key in failing if key.startswith(_LATE)]:
        year = int(key.removeprefix(_LATE))
        if year <= latest:
            since, _ = failing.pop(key)
            yield OverdueEvent(
                "late_year_recovered",
                asset,
                f"Survey year {year} has arrived",
                f"It had been reported as late on {_day(since)}.",
                f"{year}:{since}",
            )
        elif year > due:  # the clock was set back
            del failing[key]
    wanted_until = data.survey_years.last or due
    if latest >= due or wanted_until < due or f"{_LATE}{due}" in failing:
        return
    failing[f"{_LATE}{due}"] = (now, now)
    month, day = PUBLICATION_DEADLINE
    published = datetime.date(due + 1, month, day)
    yield OverdueEvent(
        "late_year",
        asset,
        f"Survey year {due} is late: the latest is {latest}",
        f"FHWA publishes a year's files by the middle of June of the next year. {days} days after "
        f"{published:%d %B %Y}, nbi_files has {len(available)} survey years, and the latest is {latest}.\n"
        f"What to do: look at {FHWA_PAGE}, put the file into the source (for source: fhwa, add the year to the "
        "catalogue in data_config.yaml), and run latest_year.",
        f"{due}:{today.year}",
    )


def _due_year(today: datetime.date, days: int) -> int:
    """The latest survey year that was to be published at least so many days ago."""
    deadline = datetime.date(today.year, *PUBLICATION_DEADLINE) + datetime.timedelta(days=days)
    return today.year - 1 if today >= deadline else today.year - 2


def _silent_endpoints(
    instance: dg.DagsterInstance,
    deployed: list[dg.AssetKey],
    hours: float,
    failing: dict[str, tuple[float, float]],
    now: float,
) -> Iterator[OverdueEvent]:
    """Endpoints whose canary has no result although the schedule that sends it is on."""
    if instance.schedule_storage is None:  # an instance in memory has no schedules
        return
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    running = [state for state in states if state.name == SCHEDULE and state.is_running]
    assets = deployed if running else []
    for asset in assets:
        name, last = asset.to_user_string(), _last_result(instance, asset)
        started = max((getattr(state.instigator_data, "start_timestamp", None) or 0.0) for state in running)
        since = max(last, started)
        reported = failing.get(f"{_SILENT}{name}", (0.0, 0.0))[0]
        if reported and last > reported:
            del failing[f"{_SILENT}{name}"]
            detail = f"Its canary has a result again. That there was none was reported at {utc_minute(reported)}."
            yield OverdueEvent(
                "silent_endpoint_recovered", asset, f"Probed again: {name}", detail, f"{name}:{reported}"
            )
        elif not reported and since and now - since > hours * 3600:
            failing[f"{_SILENT}{name}"] = (now, now)
            known = f"The last result is from {utc_minute(last)}." if last else "There has never been a result."
            yield OverdueEvent(
                "silent_endpoint",
                asset,
                f"Not probed for {(now - since) / 3600:.0f} hours: {name}",
                f"The schedule {SCHEDULE} is on, and the canary of {name} has no result for more than {hours:g} hours. "
                f"{known} Whether the endpoint answers is not known.\n"
                f"What to do: see under Automation why {SCHEDULE} skips or fails, and whether its runs wait in the "
                "queue; then run the job by hand.",
                f"{name}:{last}:{started}",
            )
    for key in [key for key in failing if key.startswith(_SILENT)]:  # switched off, or no longer deployed
        if dg.AssetKey.from_user_string(key.removeprefix(_SILENT)) not in assets:
            del failing[key]


def _deployed(data: DataSettings, environment: EnvironmentSettings) -> list[dg.AssetKey]:
    """The endpoints that smoke_checks probes."""
    names = [target.asset for target in REMOTE_TARGETS if getattr(environment, target.key).enabled]
    if (data.endpoint_folder / "current").exists():
        return [dg.AssetKey(name) for name in ("local_endpoint", *names)]
    return []  # the schedule skips


def _last_result(instance: dg.DagsterInstance, asset: dg.AssetKey) -> float:
    """When the canary was last evaluated, in seconds since the epoch; 0 = never."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(asset, CANARY), limit=_EVALUATIONS, status=_ENDED
    )
    return max((record.event.timestamp for record in records if record.event), default=0.0)


def _day(seconds: float) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%d %B %Y}"
