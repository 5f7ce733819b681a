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
        Distinct structures over all years. A few of them are built and a few removed within the years, so that one year
        holds somewhat fewer.
    first_year, last_year : int
        Survey years, both included.
    seed : int
        23 CFR 490.409 is where Good, Fair and Poor are defined.

    Raises
    ------
    ValueError
        If a year lies outside 1992 to 2025, the years are in the wrong order, or there is no structure.
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
    """What `write_sample` wrote.

    Attributes
    ----------
    folder : Path
    files : list of Path
        One file a survey year, in order.
    years : list of int
        Survey years.
    structures : int
        Distinct structure keys.
    rows : int
        Rows of all files, headers not counted, bad rows counted.
    dirt : dict of str to int
        Kind of dirt (`bridge_assets.nbi.sample.dirt.DIRT_MEANINGS`) -> rows that have it.
    """

    folder: Path
    files: list[Path]
    years: list[int]
    structures: int
    rows: int
    dirt: dict[str, int]
