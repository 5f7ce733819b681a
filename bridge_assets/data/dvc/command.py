"""Running the DVC command line: as a subprocess, without telemetry, and never waiting for an answer from a terminal.

DVC is not imported: its own start-up and its dependencies stay out of the platform's processes.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from bridge_assets.errors import SourceError

log = logging.getLogger(__name__)

#: A command that runs on is mentioned this often, in seconds.
_LOG_INTERVAL_SECONDS = 60.0

#: A command that is stopped has this long, in seconds, to give its lock back.
_TERMINATE_GRACE_SECONDS = 5.0

#: DVC_NO_ANALYTICS: no usage report. CI: the only switch of DVC's look for updates that works in a repository that we
#: did not set up (`core.check_update` stands in the ones that we did).
_DVC_ENVIRONMENT = {"DVC_NO_ANALYTICS": "1", "CI": "1"}


#: What DVC adds to unexpected errors.
_SUPPORT_FOOTER = "Having any troubles? Hit us up at https://dvc.org/support, we are always happy to help!"

#: What DVC or its remote says -> what to do about it.
_REMEDIES = {
    "is git-ignored": "let git see the pointers; for the folder `var`, write `var/**`, `!var/**/`, `!var/**/*.dvc` and "
    "`!var/**/.gitignore` into .gitignore in place of `var/`",
    "outside of DVC project": "set `repository` in configs/dvc_config.yaml to a folder that holds the data",
    "not inside of a DVC repository": "run `dvc init` there, or set `remote` in configs/dvc_config.yaml",
    # DVC drops the mark of a process that is gone, but takes a zombie, or another process with its number, for it.
    "it is being blocked by": "wait for that process; if it was killed, and is a zombie or another process has its "
    "number now, remove .dvc/tmp/rwlock",
    "unsaved": "the data here was changed and is in no version; keep it with dvc_add or move it away, then try again",
    "ucket does not exist": "make the bucket, or correct `remote` in configs/dvc_config.yaml",
    "Unable to locate credentials": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "Could not connect": "check the network, and `remote` and `endpoint_url` in configs/dvc_config.yaml",
    "Missing cache files": "push from where the version was added; this remote does not hold all of it",
    "Is your cache up to date": "push the version again from where it was added; the remote lacks a part, or holds a "
    "damaged one",
}


class DvcError(SourceError):
    """DVC is missing or switched off, or it could not do what was asked; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class DvcResult:
    """What a DVC command left.

    Attributes
    ----------
    command : str
        Of DVC: `add`, `pull` ...
    code : int
        The exit code; 0 = success. 1 = failed, 253 = there is no DVC repository, 254 = unknown argument, 255 = another
        error (DVC 3).
    stdout, stderr : str
    """

    command: str
    code: int
    stdout: str
    stderr: str

    @property
    def message(self) -> str:
        """What DVC said, on one line."""
        output = self.stderr.replace(_SUPPORT_FOOTER, "").strip() or self.stdout.strip() or "it said nothing"
        return " ".join(output.split())


def run_dvc(command: str, *arguments: str, repository: Path) -> DvcResult:
    """Run one DVC command in a repository, to its end.

    Where another DVC process holds the repository's lock, this one waits for it. What DVC says is logged: as an error
    where the exit code is not 0.

    Parameters
    ----------
    command : str
    arguments : str
        Options and paths, as DVC takes them; relative paths start at `repository`.
    repository : Path
        The working directory.

    Returns
    -------
    DvcResult

    Raises
    ------
    DvcError
        If DVC is not installed, or `repository` is no folder. A command that fails raises nothing.
    """
    if importlib.util.find_spec("dvc") is None:
        raise DvcError(
            f"`dvc {command}` cannot run",
            where=repository,
            why="DVC is not installed in the environment of bridge_assets",
            do="pip install 'bridge-assets[dvc]'",
        )
    if not repository.is_dir():
        raise DvcError(
            f"`dvc {command}` cannot run",
            where=repository,
            why="This folder does not exist; `repository` in configs/dvc_config.yaml names it",
            do="make the folder or correct the setting",
        )
    outcome = _run([sys.executable, "-m", "dvc", "--wait-for-lock", command, *arguments], command, repository)
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
                        "dvc %s in %s has been running for %.0f s; it moves data, or waits for another dvc process",
                        command,
                        repository,
                        monotonic() - started,
                    )
        except BaseException:  # whoever stops this process stops DVC with it
            process.terminate()
            try:
                process.wait(_TERMINATE_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def require_success(outcome: DvcResult, where: Path) -> DvcResult:
    """The outcome of a command that must succeed.

    Raises
    ------
    DvcError
        If it did not, with what DVC said and what to do about it.
    """
    if outcome.code == 0:
        return outcome
    remedy = next(
        (do for said, do in _REMEDIES.items() if said in outcome.message), "correct what DVC names, then again"
    )
    raise DvcError(
        f"`dvc {outcome.command}` failed with exit code {outcome.code}",
        where=where,
        why=f"DVC says: {outcome.message.rstrip('.')}",
        do=remedy,
    )
