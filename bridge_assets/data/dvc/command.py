"""Runs the DVC command line as a subprocess, without telemetry and without prompts.

DVC has an environment of its own and is not imported: it requires antlr 4.9, with which Dagster cannot read a selection
string such as `+bridge_model`.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from bridge_assets.errors import SourceError

log = logging.getLogger(__name__)

#: Interval, in seconds, at which a long-running command is logged.
_LOG_INTERVAL_SECONDS = 60.0

#: Time, in seconds, that a terminated command has to release its lock.
_TERMINATE_GRACE_SECONDS = 5.0

#: DVC_NO_ANALYTICS: no usage report. CI: the only way to switch off DVC's update check in a repository that we did not
#: set up (in those that we did, `core.check_update` is set).
_DVC_ENVIRONMENT = {"DVC_NO_ANALYTICS": "1", "CI": "1"}

#: Text that DVC appends to unexpected errors.
_SUPPORT_FOOTER = "Having any troubles? Hit us up at https://dvc.org/support, we are always happy to help!"

#: Part of a message of DVC or its remote -> what to do about it.
_REMEDIES = {
    "is git-ignored": "let git see the pointers; for the folder `var`, write `var/**`, `!var/**/`, `!var/**/*.dvc` and "
    "`!var/**/.gitignore` into .gitignore instead of `var/`",
    "outside of DVC project": "set `repository` in configs/dvc_config.yaml to a folder that contains the data",
    "not inside of a DVC repository": "run `dvc init` there, or set `remote` in configs/dvc_config.yaml",
    # DVC ignores the lock of a process that has ended, but not that of a zombie or of a reused process id.
    "it is being blocked by": "wait for that process; if it was killed, and is a zombie or another process has its "
    "process id now, remove .dvc/tmp/rwlock",
    "unsaved": "the local data was changed and is not in any version; save it with dvc_add or move it away, then run "
    "again",
    "ucket does not exist": "create the bucket, or correct `remote` in configs/dvc_config.yaml",
    "Unable to locate credentials": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "Could not connect": "check the network, and `remote` and `endpoint_url` in configs/dvc_config.yaml",
    "Missing cache files": "push from where the version was added; this remote does not have all of its files",
    "Is your cache up to date": "push the version again from where it was added; a file in the remote is missing or "
    "damaged",
}


class DvcError(SourceError):
    """DVC is not installed or is switched off, or a command failed; the message contains the output of DVC."""


@dataclass(frozen=True, slots=True)
class DvcResult:
    """The result of a DVC command.

    Attributes
    ----------
    command : str
        The DVC command, such as `add` or `pull`.
    code : int
        The exit code: 0 = success, 1 = failed, 253 = no DVC repository, 254 = unknown argument, 255 = any other error
        (DVC 3).
    stdout, stderr : str
    """

    command: str
    code: int
    stdout: str
    stderr: str

    @property
    def message(self) -> str:
        """The output of DVC, on one line."""
        output = self.stderr.replace(_SUPPORT_FOOTER, "").strip() or self.stdout.strip() or "no output"
        return " ".join(output.split())


def find_dvc() -> str | None:
    """The `dvc` program: next to the running Python, where `make dvc` links it, else the first on PATH."""
    return shutil.which("dvc", path=str(Path(sys.executable).parent)) or shutil.which("dvc")


def run_dvc(command: str, *arguments: str, repository: Path) -> DvcResult:
    """Run one DVC command in a repository and wait for it to finish.

    If another DVC process holds the lock of the repository, the command waits for it. The output of DVC is logged; if
    the exit code is not 0, as an error.

    Parameters
    ----------
    command : str
    arguments : str
        Options and paths for DVC; relative paths start at `repository`.
    repository : Path
        The working directory.

    Returns
    -------
    DvcResult

    Raises
    ------
    DvcError
        If DVC is not installed, or `repository` is not a folder. A failed command does not raise.
    """
    if (program := find_dvc()) is None:
        raise DvcError(
            f"`dvc {command}` cannot run",
            where=repository,
            why="There is no `dvc` next to this Python or on PATH",
            do="run `make dvc` in the checkout, or `uv tool install 'dvc[s3]'` (or pipx); not into the environment of "
            "bridge_assets, where its antlr 4.9 breaks Dagster's asset selection",
        )
    if not repository.is_dir():
        raise DvcError(
            f"`dvc {command}` cannot run",
            where=repository,
            why="This folder, which is `repository` in configs/dvc_config.yaml, does not exist",
            do="create the folder or correct the setting",
        )
    outcome = _run([program, "--wait-for-lock", command, *arguments], command, repository)
    if outcome.code:
        log.error("dvc %s in %s ended with exit code %d: %s", command, repository, outcome.code, outcome.message)
    else:
        log.info("dvc %s in %s: %s", command, repository, outcome.message)
    return outcome


def _run(line: list[str], command: str, repository: Path) -> DvcResult:
    started = monotonic()
    with subprocess.Popen(
        line,
        cwd=repository,
        env={**os.environ, **_DVC_ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            while True:
                try:
                    stdout, stderr = process.communicate(timeout=_LOG_INTERVAL_SECONDS)
                    return DvcResult(command, process.returncode, stdout, stderr)
                except subprocess.TimeoutExpired:
                    log.info(
                        "dvc %s in %s has been running for %.0f s, moving data or waiting for another dvc process",
                        command,
                        repository,
                        monotonic() - started,
                    )
        except BaseException:  # if this process is interrupted, DVC is stopped with it
            process.terminate()
            try:
                process.wait(_TERMINATE_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def require_success(outcome: DvcResult, where: Path) -> DvcResult:
    """Return the result of a command, which must have succeeded.

    Raises
    ------
    DvcError
        If it failed, with the output of DVC and what to do about it.
    """
    if outcome.code == 0:
        return outcome
    remedy = next(
        (do for text, do in _REMEDIES.items() if text in outcome.message),
        "fix the problem that DVC reports, then run again",
    )
    raise DvcError(
        f"`dvc {outcome.command}` failed with exit code {outcome.code}",
        where=where,
        why=f"DVC says: {outcome.message.rstrip('.')}",
        do=remedy,
    )
