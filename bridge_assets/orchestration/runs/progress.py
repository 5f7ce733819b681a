"""Shows on the terminal what a run is doing, from the events that Dagster records."""

from __future__ import annotations

import os
import shutil
import textwrap
import threading
import time
from typing import TextIO

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource

#: How often the running step is shown again, in seconds: on a terminal, and in a file or a pipe.
_TERMINAL_INTERVAL = 1.0
_PIPE_INTERVAL = 30.0

_LONGEST_MESSAGE = 100

#: Shown until the first step starts: Dagster loads the definitions and plans the run.
_PREPARING = "preparing the run"

_CLEAR_LINE = "\r\x1b[K"


class RunProgress:
    """Prints a line for every step that ends, and shows the one that is running.

    On a terminal, the running step is one line that counts the seconds and shows the step's latest log message. In a
    file or a pipe, a step that runs for more than half a minute is named every half minute.

    Parameters
    ----------
    out : TextIO, optional
        Where to print; nothing is printed if None.
    interval : float, optional
        Seconds between two lines about the same step.

    Attributes
    ----------
    finished : list of str
        The steps that have succeeded.
    interrupted : str or None
        The step that was stopped by Ctrl-C or SIGTERM.
    """

    def __init__(self, out: TextIO | None = None, interval: float | None = None) -> None:
        self.finished: list[str] = []
        self.interrupted: str | None = None
        self._out = out
        self._is_terminal = out is not None and out.isatty() and os.environ.get("TERM") != "dumb"
        self._interval = interval or (_TERMINAL_INTERVAL if self._is_terminal else _PIPE_INTERVAL)
        self._step, self._message, self._started, self._shown = "", "", 0.0, 0.0
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="run-progress", daemon=True)

    def __enter__(self) -> RunProgress:
        if self._out is not None:
            self._start(_PREPARING)
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._ticker.ident is not None:
            self._ticker.join()
        with self._lock:
            self._step = ""
            self._print_transient("")

    def on_event(self, entry: dg.EventLogEntry) -> None:
        """Take an event of the run; called by Dagster for each."""
        event = entry.dagster_event
        if event is None:
            if entry.step_key == self._step:
                self._message = textwrap.shorten(entry.user_message or "", _LONGEST_MESSAGE, placeholder=" ...")
        elif not event.step_key:
            return
        elif event.is_step_start:
            self._start(event.step_key)
        elif event.is_step_success:
            self.finished.append(event.step_key)
            self._end(event.step_key, f"{event.step_success_data.duration_ms / 1000:6.1f} s")
        elif event.is_step_failure:
            interrupted = event.step_failure_data.error_source == ErrorSource.INTERRUPT
            if interrupted:
                self.interrupted = event.step_key
            self._end(event.step_key, "canceled" if interrupted else "failed")

    def _start(self, step: str) -> None:
        with self._lock:
            self._step, self._message = step, ""
            self._started = self._shown = time.monotonic()
            if self._is_terminal:
                self._show_running()

    def _end(self, step: str, outcome: str) -> None:
        with self._lock:
            self._step = ""
            self._print(f"  {step:<48}{outcome}")

    def _tick(self) -> None:
        while not self._stopped.wait(min(self._interval, 1.0)):
            with self._lock:
                if self._step and time.monotonic() - self._shown >= self._interval:
                    self._show_running()

    def _show_running(self) -> None:
        self._shown = time.monotonic()
        line = f"  {self._step} ... {self._shown - self._started:.0f} s  {self._message}".rstrip()
        if self._is_terminal:
            self._print_transient(line)
        else:
            self._print(line)

    def _print(self, line: str) -> None:
        self._write(f"{_CLEAR_LINE if self._is_terminal else ''}{line}\n")

    def _print_transient(self, line: str) -> None:
        """Replace the last line of the terminal; the next line replaces this one."""
        if self._is_terminal:
            self._write(f"{_CLEAR_LINE}{line[: shutil.get_terminal_size().columns - 1]}")

    def _write(self, text: str) -> None:
        if self._out is None:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except OSError:  # the terminal was closed, or the reader of a pipe ended: the run goes on
            self._out = None
