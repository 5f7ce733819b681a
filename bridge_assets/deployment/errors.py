"""What can go wrong with a deployment. Every message says what, where, why, and what to do."""

from __future__ import annotations

from pathlib import Path


class DeploymentError(RuntimeError):
    """A deployment did not happen, or what is deployed cannot be used."""

    def __init__(self, what: str, *, where: Path | str, why: str, do: str) -> None:
        self.what, self.where, self.why, self.do = what, str(where), why, do
        super().__init__(f"{where}: {what}. {why}. What to do: {do}.")


class CanaryMismatch(DeploymentError):
    """An endpoint does not answer the probe as the artifact does."""


class NotOurs(DeploymentError):
    """The name is taken by something that does not carry our owner tag. It is never touched."""


class NotConfigured(DeploymentError):
    """A target lacks a setting, an extra or credentials. Nothing was sent anywhere."""


def in_one_line(error: BaseException) -> str:
    """An error's class and message, for the `why` of another."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
