"""Which model version answers: one for good, or whichever the folder of the local endpoint points to."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_assets.errors import DeploymentError, FeatureError
from bridge_assets.runtime.endpoint_folder import EndpointFolder
from bridge_assets.runtime.package import Package
from bridge_assets.serve.request_rows import RequestError

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.runtime.served_model import ServedModel


@dataclass(frozen=True)
class LoadedModel:
    """A model version in memory, proven by its own probe."""

    model: ServedModel
    slot: str

    @classmethod
    def load(cls, package: Package, slot: str) -> LoadedModel:
        """Load a version and let it answer its probe.

        Raises
        ------
        DeploymentError
            If a file is damaged.
        CanaryMismatch
            If it does not answer here as its artifact did where it was exported.
        """
        # Without the forest, which only a year of bridges is worth loading the compiled loops for.
        model = replace(package.load_model(), forest=None)
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
        """Name of what is answered, where a contract names it: `fall_probability`, or `expected_change`."""
        return self.model.task.prediction_column

    def predict(self, table: pl.DataFrame) -> list[float]:
        """Answers to rows of features in natural units: the very code of batch scoring.

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


class EndpointFollower:
    """What the folder of the local endpoint says: a new version answers once it is loaded, never half.

    Attributes
    ----------
    current : LoadedModel
        Whoever takes it keeps it for the whole request.

    Raises
    ------
    DeploymentError
        If nothing is deployed, or what is deployed cannot be loaded.
    """

    def __init__(self, root: Path) -> None:
        self._folder = EndpointFolder(root)
        name = self._folder.current()
        if name is None:
            raise DeploymentError(
                "no model version is deployed",
                where=root,
                why="There is no current version",
                do="materialise local_endpoint",
            )
        self.current = self._load(name)

    def refresh(self) -> bool:
        """Take what `current` points to now; whether that was another package. On an error what answered stays."""
        name = self._folder.current()
        if name is None or name == self.current.slot:
            return False
        self.current = self._load(name)
        return True

    def _load(self, name: str) -> LoadedModel:
        return LoadedModel.load(Package(self._folder.package(name)), name)


def _release_memory() -> None:
    """Return to the system what building a graph took: as much again as the graph itself, which glibc would keep."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
