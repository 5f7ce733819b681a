"""What to generate, and what was generated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: FHWA has published delimited files of these survey years (`bridge_assets.nbi.coding_guide.layouts`).
FIRST_YEAR, LAST_YEAR = 1992, 2025


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """A sample inventory: the same spec gives the same bytes.

    Attributes
    ----------
    structures : int
        Distinct structures over all years. A few are built and a few removed during these years, so that a single year
        has slightly fewer.
    first_year, last_year : int
        Survey years, both included.
    seed : int
        The default is the section that defines Good, Fair and Poor, 23 CFR 490.409.

    Raises
    ------
    ValueError
        If a year is outside 1992 to 2025, the years are in the wrong order, or there are no structures.
    """

    structures: int = 6000
    first_year: int = 2006
    last_year: int = 2025
    seed: int = 490409

    def __post_init__(self) -> None:
        if not FIRST_YEAR <= self.first_year <= self.last_year <= LAST_YEAR:
            raise ValueError(
                f"survey years {self.first_year} to {self.last_year}: expected an ascending range within {FIRST_YEAR} "
                f"to {LAST_YEAR}, the years for which FHWA published a delimited layout"
            )
        if self.structures < 1:
            raise ValueError(f"structures = {self.structures}: expected at least 1")

    @property
    def years(self) -> range:
        """The survey years."""
        return range(self.first_year, self.last_year + 1)


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """Summary of the files that `write_sample` wrote.

    Attributes
    ----------
    folder : Path
    files : list of Path
        One file per survey year, in order.
    years : list of int
        Survey years.
    structures : int
        Distinct structure keys.
    rows : int
        Rows of all files, without headers but including malformed rows.
    dirt : dict of str to int
        Kind of dirt (`bridge_assets.nbi.sample.dirt.DIRT_MEANINGS`) -> rows that have it.
    """

    folder: Path
    files: list[Path]
    years: list[int]
    structures: int
    rows: int
    dirt: dict[str, int]
