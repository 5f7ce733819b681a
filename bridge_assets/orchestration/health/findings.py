"""What a reading of the instance found: problems, each with what to do, and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Problems that a result lists; the others are counted.
_MAX_LISTED = 10


@dataclass
class Findings:
    """The result of one check of `instance_health`.

    Attributes
    ----------
    problems : list of str
        One sentence each. None = healthy.
    numbers : dict
        For the metadata; the UI plots them over time.
    do : str
        What to do about the problems.
    fine : str
        What to say if there are none.
    """

    problems: list[str] = field(default_factory=list)
    numbers: dict[str, int | float] = field(default_factory=dict)
    do: str = ""
    fine: str = ""

    @property
    def description(self) -> str:
        if not self.problems:
            return self.fine
        more = f"\n... and {len(self.problems) - _MAX_LISTED} more" if len(self.problems) > _MAX_LISTED else ""
        return "\n".join(self.problems[:_MAX_LISTED]) + f"{more}\nWhat to do: {self.do}."


def minutes(seconds: float) -> str:
    """A duration as a person says it: minutes below three hours, hours below three days, days."""
    if seconds < 3 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 3 * 86400 else f"{seconds / 86400:.0f} days"
