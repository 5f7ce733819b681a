"""Generates national survey years: 620,000 rows each in FHWA's layouts, with the errors of real files.

Writes the sample inventory of 31,000 structures and repeats each row under about twenty other structure numbers, so
that structures keep their history across the years.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from bridge_assets.nbi.sample import SampleSpec, write_sample

ROWS = 620_000
STRUCTURES = 31_000
#: More than 620,000 / 31,000, because some structures of the sample are built or removed within the years.
COPIES = 24
_NUMBER_WIDTH = 15


def write_national_years(folder: Path, years: Iterable[int], rows: int = ROWS) -> list[Path]:
    """Write `NBI_{year}.txt` for each year.

    Parameters
    ----------
    folder : Path
        Existing files in it are kept: the same call gives the same files.
    years : iterable of int
        Survey years; together they are one panel.
    rows : int
        Rows per file.
    """
    paths = {year: folder / f"NBI_{year}.txt" for year in years}
    missing = {year: path for year, path in paths.items() if not path.is_file()}
    if missing:
        sample = folder / "sample"
        spec = SampleSpec(structures=STRUCTURES, first_year=min(paths), last_year=max(paths), seed=1)
        write_sample(sample, folder / "oracle.parquet", spec)
        for path in missing.values():
            temporary = path.with_suffix(".part")
            header, *lines = (sample / path.name).read_bytes().splitlines(keepends=True)
            with temporary.open("wb") as file:
                file.write(header)
                file.writelines(islice(_repeated(lines), rows))
            temporary.rename(path)
    return list(paths.values())


def _repeated(lines: list[bytes]) -> Iterator[bytes]:
    for copy in range(COPIES):
        for line in lines:
            state, number, rest = line.split(b",", 2)
            yield b",".join((state, _renumbered(number, copy), rest))


def _renumbered(field: bytes, copy: int) -> bytes:
    """The number of a copy, padded like the field: with trailing blanks or leading zeros."""
    number = field.strip().lstrip(b"0") + b"%02d" % copy
    return number.rjust(_NUMBER_WIDTH, b"0") if field.startswith(b"0") else number.ljust(_NUMBER_WIDTH)
