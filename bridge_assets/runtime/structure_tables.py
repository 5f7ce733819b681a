"""What a package knows about each structure: the tables by which raw records and structure keys are answered.

    structures.arrow          one row per structure (`columns`), sorted by key; mapped into memory, not read into it
    structures.json           survey year, feature definitions, fall rates of peers, origin of the tables
    deterioration.json        the deterioration model, for years until Poor; only if one had been fitted

A row is about 500 bytes: a national inventory is about 400 MB on disk, of which a request touches a few pages. So the
tables are in packages of the local endpoint only: a bundle for a cloud stays as small as its model.

Belongs here: the format, opening it, and looking up structures. Does not belong here: making the tables
(`deployment.core.structure_tables`) and computing features of a record (`data.features.record_features`).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from bridge_assets.errors import DeploymentError, error_summary
from bridge_assets.runtime.package import DETERIORATION, STRUCTURES, STRUCTURES_INFO, Package

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    import pyarrow as pa

#: Increase it when the columns or the keys of structures.json change: older tables are then refused.
FORMAT = 1


@dataclass(frozen=True)
class Structure:
    """A structure in the tables.

    Attributes
    ----------
    key : str
    row : int
        Its row in the tables.
    last_survey_year : int
        The last survey year whose file has a rated record of it.
    """

    key: str
    row: int
    last_survey_year: int


class Keys(Sequence[str]):
    """The structure keys in order, read from the mapped file one by one."""

    def __init__(self, keys: pa.Array) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._keys[index].to_pylist() if isinstance(index, slice) else self._keys[index].as_py()


@dataclass(frozen=True)
class StructureTables:
    """The tables of a package.

    Attributes
    ----------
    table : pl.DataFrame
        `structures.arrow` without its features, mapped into memory.
    keys : Keys
    features : np.ndarray
        The features in natural units, as in bridge_features: (structures, features), float32, NaN = missing. A
        structure that is not in the file of `survey_year` has NaN everywhere.
    info : mapping
        `structures.json`: format, survey_year, features, features_digest, peers, made_from, years_until_poor.
    deterioration_file : Path or None
        The deterioration model.
    """

    table: pl.DataFrame = field(repr=False)
    keys: Keys = field(repr=False)
    features: np.ndarray = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)
    deterioration_file: Path | None = None

    @classmethod
    def open(cls, package: Package) -> StructureTables | None:
        """Open the tables of a package; None if it has none (`skipped_reason`).

        Raises
        ------
        DeploymentError
            If a file is missing, its bytes changed, or it was written by another version of this platform.
        """
        import polars as pl
        import pyarrow as pa

        served = package.manifest["served"]
        if STRUCTURES not in served:
            return None
        path, info_path = package.file(STRUCTURES), package.file(STRUCTURES_INFO)
        try:
            info = json.loads(info_path.read_text(encoding="utf-8"))
            if info["format"] != FORMAT:
                raise ValueError(f"its format is {info['format']}, this installation reads {FORMAT}")
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            keys, features = (table[name].combine_chunks() for name in ("structure_key", "features"))
            matrix = features.flatten().to_numpy(zero_copy_only=True).reshape(table.num_rows, len(info["features"]))
        except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are ValueErrors and OSErrors
            raise DeploymentError(
                "the tables of structures cannot be read",
                where=path,
                why=error_summary(error),
                do="run the asset local_endpoint again: it packs the tables of the lake with the version",
                stage="local_endpoint",
            ) from error
        frame = pl.DataFrame(table.drop_columns(["features"]))
        return cls(frame, Keys(keys), matrix, info, package.file(DETERIORATION) if DETERIORATION in served else None)

    @property
    def survey_year(self) -> int:
        """The survey year whose features were packed: the last one in the lake."""
        return self.info["survey_year"]

    @property
    def features_digest(self) -> str:
        return self.info["features_digest"]

    def a_key(self) -> str:
        """The key of a structure in the file of `survey_year`, among the first ones; empty if there is none."""
        import numpy as np

        first = np.asarray(self.features[:1000])
        found = np.flatnonzero(~np.isnan(first).all(axis=1))
        return self.keys[int(found[0])] if len(found) else ""

    def find(self, key: str) -> Structure | None:
        """The structure with a key; None if there is none."""
        row = bisect_left(self.keys, key)
        if row == len(self.keys) or self.keys[row] != key:
            return None
        return Structure(key, row, self.table["last_survey_year"][row])

    def keys_of_state(self, state: str) -> list[str]:
        """The keys of a state by its two-digit code, in order."""
        return self.keys[bisect_left(self.keys, f"{state}-") : bisect_left(self.keys, f"{state}.")]  # `.` follows `-`

    def scored_rows(self) -> np.ndarray:
        """The rows of the structures that batch scoring scores: those with a condition in the last file."""
        return self.table["is_scored"].arg_true().to_numpy()


def skipped_reason(package: Package) -> str:
    """Why a package has no tables, in a sentence without its full stop."""
    recorded = package.manifest.get("structures_skipped", "")
    return recorded or "This version was deployed before tables of structures were packed with versions"
