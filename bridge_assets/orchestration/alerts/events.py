"""Reads failed and recovered checks and failed runs from Dagster's event log, each once.

The cursor holds everything that the next read depends on, so reading again from the same cursor gives the same events.

- Ended runs are found by the storage id of their last status event. On SQLite that is the only order over all runs,
  because every run has a database of its own.
- Evaluations of checks are read run by run, from the position in the run's own log: of runs in progress too, so a
  failed check is known before its run ends.
- The first read returns nothing: what failed before is history.
- On PostgreSQL, as with Dagster's own run status sensors, an event whose transaction commits after one with a higher
  id can be passed over.

Evaluations that belong to no run (`POST /report_asset_check`) are not read.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase

import dagster as dg
from dagster._core.errors import DagsterRunNotFoundError
from dagster._core.event_api import EventLogCursor
from dagster._core.storage.tags import PARTITION_NAME_TAG, WILL_RETRY_TAG

from bridge_assets.orchestration.partitions import RANGE_END, RANGE_START

_ENDED = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_CANCELED)

#: Ended runs of each outcome that one read takes; the next read goes on there.
_MAX_ENDED = 50

#: Events after which one read takes no further ended run, so that a tick ends within its 60 s.
_MAX_EVENTS = 1000

#: Runs in progress whose checks are read before they end.
_MAX_IN_PROGRESS = 20

#: Failing checks that are remembered until they pass.
_MAX_FAILING = 2000

#: Seconds. Dagster stores a run's failure first, and then the tag that says whether it will be retried.
_RETRY_TAG_SECONDS = 30.0

#: Seconds. A check that goes on failing is told again after this time, or if the clock was set back by as much.
REMIND_SECONDS = 24 * 3600.0

#: End of the key in `Cursor.failing` of a check that warns.
_WARNING = " (warning)"

_CHECK_FAILED_ERROR = "DagsterAssetCheckFailedError"


@dataclass(frozen=True)
class CheckEvent:
    """A check that failed with severity ERROR, or WARN where those are told too, or that passes again.

    Attributes
    ----------
    partition : str
        Of the evaluation, or of the whole run; empty = none.
    failing_since : float
        Seconds since the epoch at which the failure that was told began; 0 for a new one.
    """

    run: dg.DagsterRun
    evaluation: dg.AssetCheckEvaluation
    partition: str
    timestamp: float
    failing_since: float

    @property
    def name(self) -> str:
        """`raw_bridges:rows_match [2019]`."""
        return _name(self.evaluation, self.partition)


@dataclass(frozen=True)
class FailedRun:
    """A run that failed and will not be retried automatically.

    Attributes
    ----------
    step : str
        The step that failed first; empty if the run failed outside its steps.
    error : str
        What raised, with its cause.
    attempts : int
        Runs that were made of it, automatic retries included.
    """

    run: dg.DagsterRun
    step: str
    error: str
    attempts: int
    timestamp: float


@dataclass
class Cursor:
    """Where reading stands.

    Attributes
    ----------
    ended : int
        Storage id of the last status event that was read.
    positions : dict
        Run in progress -> cursor in its log.
    failing : dict
        Check and partition -> when it began to fail, and when that was last told, in seconds since the epoch.
    """

    ended: int
    positions: dict[str, str] = field(default_factory=dict)
    failing: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor | None":
        """None if there is none yet, or if it is of another form."""
        try:
            values = json.loads(text or "")
            failing = {name: (float(since), float(told)) for name, (since, told) in values["failing"].items()}
            return cls(int(values["ended"]), dict(values["positions"]), failing)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def __str__(self) -> str:
        return json.dumps(asdict(self))


AlertEvent = CheckEvent | FailedRun


def read_events(
    instance: dg.DagsterInstance, cursor: Cursor | None, now: float, warned: Sequence[str] = ()
) -> tuple[list[AlertEvent], Cursor]:
    """What happened since the cursor, and the next cursor.

    Parameters
    ----------
    instance : DagsterInstance
    cursor : Cursor or None
        None = begin now.
    now : float
        Seconds since the epoch.
    warned : sequence of str
        Assets, as patterns with `*`, whose checks are told if they fail with severity WARN.
    """
    latest = max((record.storage_id for record in _latest_status_changes(instance)), default=0)
    if cursor is None:
        return [], Cursor(latest)
    # Where runs were deleted, SQLite gives their storage ids to new events.
    cursor = Cursor(min(cursor.ended, latest), dict(cursor.positions), dict(cursor.failing))
    events: list[AlertEvent] = []
    for record in _ended_runs(instance, cursor.ended):
        if len(events) >= _MAX_EVENTS:
            break
        entry = record.event_log_entry
        run = instance.get_run_by_id(entry.run_id)
        if run and entry.dagster_event_type == dg.DagsterEventType.RUN_FAILURE:
            if instance.run_retries_enabled and WILL_RETRY_TAG not in run.tags:
                age = now - entry.timestamp
                if 0 <= age < _RETRY_TAG_SECONDS:
                    break
            events += _check_events(instance, run, cursor, warned)
            events += _failed_run(instance, run, entry)
        elif run:
            events += _check_events(instance, run, cursor, warned)
        cursor.positions.pop(entry.run_id, None)
        cursor.ended = record.storage_id
    in_progress = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    for run in instance.get_runs(in_progress, limit=_MAX_IN_PROGRESS):
        events += _check_events(instance, run, cursor, warned)
    for run_id in list(cursor.positions)[: -10 * _MAX_IN_PROGRESS]:  # of runs that were deleted
        del cursor.positions[run_id]
    for name in list(cursor.failing)[:-_MAX_FAILING]:
        del cursor.failing[name]
    return events, cursor


def _ended_runs(instance: dg.DagsterInstance, after: int) -> list[dg.EventLogRecord]:
    """Status events of ended runs after a storage id, oldest first, without a gap."""
    pages = [_status_page(instance, kind, after, _MAX_ENDED) for kind in _ENDED]
    complete_until = min((page[-1].storage_id for page in pages if len(page) == _MAX_ENDED), default=None)
    records = sorted((record for page in pages for record in page), key=lambda record: record.storage_id)
    return [record for record in records if complete_until is None or record.storage_id <= complete_until]


def _latest_status_changes(instance: dg.DagsterInstance) -> Iterator[dg.EventLogRecord]:
    for kind in _ENDED:
        yield from _status_page(instance, kind, None, 1)


def _status_page(
    instance: dg.DagsterInstance, kind: dg.DagsterEventType, after: int | None, limit: int
) -> list[dg.EventLogRecord]:
    """The first events after a storage id; the last ones if there is none."""
    cursor = None if after is None else EventLogCursor.from_storage_id(after).to_string()
    page = instance.fetch_run_status_changes(kind, limit=limit, cursor=cursor, ascending=after is not None)
    return list(page.records)


def _check_events(
    instance: dg.DagsterInstance, run: dg.DagsterRun, cursor: Cursor, warned: Sequence[str]
) -> Iterator[CheckEvent]:
    """Failed and recovered checks of a run from its position on, which moves behind them."""
    page = instance.get_records_for_run(
        run.run_id, cursor.positions.get(run.run_id), of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    if page.records:
        cursor.positions[run.run_id] = EventLogCursor.from_storage_id(page.records[-1].storage_id).to_string()
    for record in page.records:
        event = record.event_log_entry.dagster_event
        evaluation = event and event.event_specific_data
        if not isinstance(evaluation, dg.AssetCheckEvaluation):
            continue
        timestamp = record.event_log_entry.timestamp
        partition = evaluation.partition or _partition(run)
        name = _name(evaluation, partition)
        failed, warns = name, f"{name}{_WARNING}"
        if evaluation.passed:
            ended = [entry for key in (failed, warns) if (entry := cursor.failing.pop(key, None))]
            if ended:
                yield CheckEvent(run, evaluation, partition, timestamp, min(since for since, _ in ended))
        elif _is_told(evaluation, warned):
            is_error = evaluation.severity is dg.AssetCheckSeverity.ERROR
            key, other = (failed, warns) if is_error else (warns, failed)
            since, told = cursor.failing.get(key, (0.0, 0.0))
            if not since or abs(timestamp - told) >= REMIND_SECONDS:
                cursor.failing.pop(other, None)  # it became worse, or less bad: that is told too
                cursor.failing[key] = (since or timestamp, timestamp)
                yield CheckEvent(run, evaluation, partition, timestamp, since)


def _is_told(evaluation: dg.AssetCheckEvaluation, warned: Sequence[str]) -> bool:
    if evaluation.severity is dg.AssetCheckSeverity.ERROR:
        return True
    return any(fnmatchcase(evaluation.asset_key.to_user_string(), pattern) for pattern in warned)


def _failed_run(instance: dg.DagsterInstance, run: dg.DagsterRun, entry: dg.EventLogEntry) -> Iterator[FailedRun]:
    """The failure of a run; nothing if it will be retried, or failed only because its checks did, which are told."""
    if run.tags.get(WILL_RETRY_TAG) == "true":
        return
    steps = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    failures = [event for record in steps if (event := record.event_log_entry.dagster_event)]
    causes = [
        event for event in failures if not (data := event.step_failure_data).error or not _is_check(data.error.cls_name)
    ]
    if failures and not causes:
        return
    attempts = _attempts(instance, run)
    if causes:
        step, error = causes[0].step_key or "", _error_text(causes[0].step_failure_data)
    else:
        step, error = "", (entry.dagster_event and entry.dagster_event.message) or entry.user_message
    yield FailedRun(run, step, error, attempts, entry.timestamp)


def _attempts(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    try:
        group = instance.get_run_group(run.run_id) if run.root_run_id else None
    except DagsterRunNotFoundError:  # the first attempt was deleted
        return 1
    return len(list(group[1])) if group else 1


def _is_check(class_name: str | None) -> bool:
    return class_name == _CHECK_FAILED_ERROR


def _error_text(data: "dg.StepFailureData") -> str:
    """The message of a `Failure`; otherwise the error that the asset raised, and what caused that."""
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error, messages = data.error, []
    while error:
        if error.cls_name != "DagsterExecutionStepExecutionError":
            messages.append(error.message.strip())
        error = error.cause
    return "\ncaused by ".join(messages) or "Dagster recorded no error."


def _partition(run: dg.DagsterRun) -> str:
    if RANGE_START in run.tags:
        return f"{run.tags[RANGE_START]}-{run.tags[RANGE_END]}"
    return run.tags.get(PARTITION_NAME_TAG, "")


def _name(evaluation: dg.AssetCheckEvaluation, partition: str) -> str:
    name = f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}"
    return f"{name} [{partition}]" if partition else name
