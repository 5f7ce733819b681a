"""What can be wrong with a source, said so that a person can act on it."""

from __future__ import annotations

from pathlib import Path


class SourceError(ValueError):
    """A source file or folder cannot be used at all.

    The message says what is wrong, where, why, and what to do. Single bad rows never raise: they become rejected
    records.
    """

    def __init__(self, what: str, *, where: Path | str, why: str, do: str) -> None:
        self.what, self.where, self.why, self.do = what, str(where), why, do
        super().__init__(f"{where}: {what}. {why}. What to do: {do}.")


class LayoutError(SourceError):
    """The header row is none of the published layouts."""
