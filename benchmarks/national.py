"""National survey years, generated: 620,000 rows each in the true layouts, true dirt included.

The sample inventory of 31,000 structures is written, and each of its rows repeated under some twenty other structure
numbers, so that structures keep their history across the years.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from bridge_assets.nbi.sample import SampleSpec, write_sample

ROWS = 620_000
STRUCTURES = 31_000
#: Of the sample's structures some are built and some removed within the years.
COPIES = 24
_NUMBER_WIDTH = 15


def write_national_years(folder: Path, years: Iterable[int], rows: int = ROWS) -> list[Path]:
    """Write `NBI_{year}.txt` for each year, of exactly so many rows.

    Parameters
    ----------
    folder : Path
        A file that is there already, of a size above nothing, is left: the same call gives the same files.
    years : iterable of int
        Survey years; a range of them is one panel.
    rows : int
        Rows a file.
    """
    wanted = {year: folder / f"NBI_{year}.txt" for year in years}
    missing = {year: path for year, path in wanted.items() if not path.is_file()}
    if missing:
        sample = folder / "sample"
        spec = SampleSpec(structures=STRUCTURES, first_year=min(wanted), last_year=max(wanted), seed=1)
        write_sample(sample, folder / "oracle.parquet", spec)
        for path in missing.values():
            aside = path.with_suffix(".part")
            header, *lines = (sample / path.name).read_bytes().splitlines(keepends=True)
            with aside.open("wb") as file:
                file.write(header)
                file.writelines(islice(_repeated(lines), rows))
            aside.rename(path)
    return list(wanted.values())


def _repeated(lines: list[bytes]) -> Iterator[bytes]:
    for copy in range(COPIES):
        for line in lines:
            state, number, rest = line.split(b",", 2)
            yield b",".join((state, _renumbered(number, copy), rest))


def _renumbered(field: bytes, copy: int) -> bytes:
    """The number of a copy, padded as the field is: with blanks behind or zeros before."""
    number = field.strip().lstrip(b"0") + b"%02d" % copy
    return number.rjust(_NUMBER_WIDTH, b"0") if field.startswith(b"0") else number.ljust(_NUMBER_WIDTH)
