"""One line of JSON for each run, step and asset: when, how long, how many rows and bytes, how it ended.

    <home>/metrics/pipeline.jsonl, pipeline.1.jsonl ...    the newest lines, then older ones

It hangs on Dagster's instance (`python_logs` in configs/dagster.yaml), so no asset calls it, and every process of a run
writes to the same file. DuckDB reads it:

    select step, avg(seconds) from read_json('var/metrics/pipeline*.jsonl', union_by_name=true) where kind = 'step'
    group by all

Belongs here: turning events into lines, and writing them. Does not belong here: what is done with the lines.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import sys
from collections import OrderedDict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bridge_assets.file_lock import LockHeldError, file_lock
from bridge_assets.settings import CONFIG_FOLDER_VARIABLE, DataSettings

if TYPE_CHECKING:
    from dagster import DagsterEvent

#: Where the lines of the platform are, in its home.
METRICS_FILE = Path("metrics", "pipeline.jsonl")

#: Size of a file, in bytes, after which the next one is begun: some 40,000 lines, or 400 runs of all years.
MAX_BYTES = 16_000_000

#: Number of older files that are kept.
KEPT_FILES = 5

#: Seconds to wait for another process that writes; afterwards the line is lost rather than the run delayed.
_LOCK_SECONDS = 5.0

#: Steps that were started and have not ended, of which the start is remembered.
_MAX_OPEN_STEPS = 1000

#: What decides where the home is, apart from the content of data_config.yaml.
_HOME_VARIABLES = ("BRIDGE_ASSETS_DATA__HOME", CONFIG_FOLDER_VARIABLE)

_STEP_ENDS = {"STEP_SUCCESS": "success", "STEP_FAILURE": "failure", "STEP_SKIPPED": "skipped"}
_RUN_ENDS = {"PIPELINE_SUCCESS": "success", "PIPELINE_FAILURE": "failure", "PIPELINE_CANCELED": "canceled"}

#: Tags of a run that name its partition, or the first and the last of a range.
_PARTITION, _RANGE = "dagster/partition", ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

#: Metadata with the rows of a materialization; the second one of one survey year.
ROW_COUNTS = ("dagster/row_count", "dagster/partition_row_count")

#: Versions in the tags of a materialization, with their names in the line.
_VERSIONS = {"dagster/data_version": "data_version", "dagster/code_version": "code_version"}


class PipelineMetricsLogger(logging.Handler):
    """Writes a line for each event that ends a run or a step, or materializes an asset.

    A line is written whole, also by several processes at once. Nothing that goes wrong here stops a run: a line that
    cannot be written, because the disk is full or the folder is gone, is lost, and standard error says so once.

    Parameters
    ----------
    log_path : str or Path, optional
        The file. Default: `METRICS_FILE` in the platform's home.
    max_bytes : int
        Size after which the file is renamed and a new one begun.
    kept_files : int
        Number of renamed files that are kept.
    """

    # Dagster makes a handler for a run and others for its steps: what they must know of each other is shared.
    _started: ClassVar[OrderedDict[tuple[str, str], float]] = OrderedDict()
    _said: ClassVar[bool] = False

    def __init__(
        self, log_path: str | Path | None = None, max_bytes: int = MAX_BYTES, kept_files: int = KEPT_FILES
    ) -> None:
        super().__init__(logging.DEBUG)
        self._path = Path(log_path) if log_path else None
        self._max_bytes, self._kept_files = max_bytes, kept_files

    def emit(self, record: logging.LogRecord) -> None:
        """Write the lines of a log record of Dagster; records of anything else have none."""
        try:
            meta: dict[str, Any] = getattr(record, "dagster_meta", None) or {}
            if event := meta.get("dagster_event"):
                tags = meta.get("job_tags") or {}
                self.write(*self._lines(event, str(meta.get("run_id", "")), tags, record.created))
        except Exception as error:  # whatever it is, the run goes on
            self._say(error)

    def write(self, *lines: dict[str, Any]) -> None:
        """Append lines to the file.

        Raises
        ------
        OSError
            If the file cannot be written.
        LockHeldError
            If another process does not finish writing.
        """
        if not lines:
            return
        path = self._path or _default_path(*(os.environ.get(name) for name in _HOME_VARIABLES), str(Path.cwd()))
        text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines).encode()
        with file_lock(path.with_name(f".{path.name}.lock"), _LOCK_SECONDS):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a line that a full disk cut off
                    text = b"\n" + text
                if os.write(descriptor, text) < len(text):  # the disk is full: take back what is not whole
                    os.ftruncate(descriptor, size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            finally:
                os.close(descriptor)
            if size + len(text) >= self._max_bytes:
                self._rotate(path)

    def _rotate(self, path: Path) -> None:
        numbered = [path, *(path.with_suffix(f".{number}{path.suffix}") for number in range(1, self._kept_files + 1))]
        for older, newer in reversed(list(zip(numbered[1:], numbered[:-1], strict=True))):
            if newer.exists():
                newer.replace(older)

    def _lines(self, event: DagsterEvent, run_id: str, tags: dict[str, str], at: float) -> Iterator[dict[str, Any]]:
        kind, step = event.event_type_value, event.step_key or ""
        base = {"at": at, "run": run_id, "job": event.job_name, **_partition(tags)}
        if kind in ("STEP_START", "PIPELINE_START"):
            self._started[run_id, step] = at
            if len(self._started) > _MAX_OPEN_STEPS:
                self._started.popitem(last=False)
        elif kind in _STEP_ENDS:
            yield {"kind": "step", **base, "step": step, "outcome": _STEP_ENDS[kind], **self._took(run_id, step, at)}
        elif kind in _RUN_ENDS:
            yield {"kind": "run", **base, "outcome": _RUN_ENDS[kind], **self._took(run_id, "", at)}
        elif kind == "ASSET_MATERIALIZATION":
            since = self._started.get((run_id, step))
            yield {
                "kind": "asset",
                **base,
                "step": step,
                "outcome": "success",
                "seconds_into_step": None if since is None else round(at - since, 3),
                **_of_asset(event),
            }

    def _took(self, run_id: str, step: str, at: float) -> dict[str, Any]:
        """Seconds since the start, if this process saw it, and the peak memory of this process so far."""
        since = self._started.pop((run_id, step), None)
        return {"seconds": None if since is None else round(at - since, 3), "peak_memory_mb": _peak_memory_mb()}

    def _say(self, error: Exception) -> None:
        if not PipelineMetricsLogger._said:
            PipelineMetricsLogger._said = True
            hint = "free some space or correct the permissions" if isinstance(error, OSError | LockHeldError) else ""
            sys.stderr.write(f"pipeline metrics are not written: {error}. {hint}\n")


@cache
def _default_path(*environment: str | None) -> Path:
    """`METRICS_FILE` in the home that the settings name, read once: that takes longer than writing a line."""
    return DataSettings.load().home_folder / METRICS_FILE


def _partition(tags: dict[str, str]) -> dict[str, str]:
    if _PARTITION in tags:
        return {"partition": tags[_PARTITION]}
    first, last = (tags.get(name, "") for name in _RANGE)
    return {"partition": f"{first}...{last}" if first != last else first}


def _of_asset(event: DagsterEvent) -> dict[str, Any]:
    materialization = event.step_materialization_data.materialization
    metadata = {key: value.value for key, value in materialization.metadata.items()}
    found = materialization.tags or {}
    path = next((value for key, value in metadata.items() if key in ("file", "path") and isinstance(value, str)), None)
    return {
        "asset": materialization.asset_key.to_user_string(),
        "partition": materialization.partition or "",
        "rows": next((metadata[name] for name in ROW_COUNTS if name in metadata), None),
        "bytes": _size(path),
        **{name: found.get(tag, "") for tag, name in _VERSIONS.items()},
    }


def _size(path: str | None) -> int | None:
    try:
        return None if path is None else Path(path).stat().st_size
    except OSError:
        return None


def _peak_memory_mb() -> float:
    # Kilobytes on Linux, bytes on macOS (getrusage(2) of each).
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
