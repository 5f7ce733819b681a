"""A model version in memory, checked with its probe before it is served."""

from __future__ import annotations

import ctypes
import math
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from bridge_assets.runtime.package import Package, content_digest
from bridge_assets.serve.requests.request_rows import RequestError
from bridge_assets.serve.requests.small_requests import SmallRequests

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.runtime.served_model import ServedModel
    from bridge_assets.serve.bridges.answers import BridgeAnswers


@dataclass(frozen=True)
class LoadedModel:
    """A model version in memory that has passed its probe.

    Attributes
    ----------
    model : ServedModel
    slot : str
    bridges : BridgeAnswers or None
        Answers requests by structure key or raw record; None where the package has no tables of structures.
    no_bridges : str
        Then, why it has none, without its full stop.
    package : str
        Digest of the package's files (`runtime.package.content_digest`).
    """

    model: ServedModel
    slot: str
    bridges: BridgeAnswers | None = field(default=None, compare=False)
    no_bridges: str = "Tables of structures are packed for the local endpoint only"
    package: str = ""

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
        return cls(model, slot, package=content_digest(package.manifest["served"]))

    @cached_property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of each answer that name the version."""
        return [(b"x-model-version", self.version.encode()), (b"x-model-slot", self.slot.encode())]

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

    def predict(self, rows: np.ndarray) -> list[float]:
        """Predict from rows of features in natural units, to the last bit like batch scoring.

        Parameters
        ----------
        rows : np.ndarray, shape (n, n_features)
            In the order of `features`; NaN = missing.

        Raises
        ------
        RequestError
            422, if a value is too large for the model's scale.
        """
        import numpy as np

        scaled = self.model.row_scaler(rows)
        if not math.isfinite(np.add.reduce(scaled, axis=None)):  # of numbers up to 65,504, or of one that is not finite
            row, column = (int(index) for index in np.argwhere(~np.isfinite(scaled))[0])
            name = self.features[column]
            raise RequestError(f"row {row}: feature {name!r}: {rows[row, column]:g} is too large", 422)
        return self.model.predict_scaled(scaled).tolist()

    @cached_property
    def small_requests(self) -> SmallRequests | None:
        """Parses small requests; None where msgspec is not installed, as in an image that was built before it."""
        try:
            return SmallRequests(self.features)
        except (ImportError, ValueError):
            return None


def _release_memory() -> None:
    """Return memory that was used for loading to the system: glibc would keep as much as the graph itself takes."""
    with suppress(AttributeError, OSError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)
