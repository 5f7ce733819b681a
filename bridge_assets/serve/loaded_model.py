"""A model version in memory, checked with its probe before it is served."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.errors import FeatureError
from bridge_assets.runtime.package import Package
from bridge_assets.serve.requests.request_rows import RequestError

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.runtime.served_model import ServedModel


@dataclass(frozen=True)
class LoadedModel:
    """A model version in memory that has passed its probe."""

    model: ServedModel
    slot: str

    @classmethod
    def load(cls, package: Package, slot: str) -> LoadedModel:
        """Load a version and check its predictions for its probe.

        Raises
        ------
        DeploymentError
            If a file is damaged.
        CanaryMismatch
            If its predictions differ from those at export.
        """
        model = package.load_model()
        package.check_probe(model)
        _release_memory()
        return cls(model, slot)

    @property
    def version(self) -> str:
        return self.model.version

    @property
    def features(self) -> tuple[str, ...]:
        return self.model.normalization.features

    @property
    def output_name(self) -> str:
        """Name of the output, for contracts that need one: `fall_probability` or `expected_change`."""
        return self.model.prediction_column

    def predict(self, table: pl.DataFrame) -> list[float]:
        """Predict from rows of features in natural units, with the same code as batch scoring.

        Raises
        ------
        RequestError
            422, if a value is too large for the model's scale.
        """
        import numpy as np

        try:
            return self.model.predict(table).to_list()
        except FeatureError:
            scaled = self.model.normalization.transform(table).select(self.features).to_numpy()
            row, column = (int(index) for index in np.argwhere(~np.isfinite(scaled))[0])
            name = self.features[column]
            raise RequestError(f"row {row}: feature {name!r}: {table[row, name]:g} is too large", 422) from None


def _release_memory() -> None:
    """Return memory that was used for loading to the system: glibc would keep as much as the graph itself takes."""
    with suppress(AttributeError, OSError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)
