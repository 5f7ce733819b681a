"""Contributions of the features to single predictions, as batch scoring gives them for the first bridges of its lists.

Needs the float16 forest of the package, shap and numba, which only the local endpoint has. What they are computed with
is made for the first request that asks for them, since it takes a while and most requests do not.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bridge_assets.serve.requests.request_rows import RequestError

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.runtime.package import Package
    from bridge_assets.runtime.served_model import ServedModel
    from bridge_assets.runtime.structure_tables import StructureTables
    from bridge_assets.scoring.shap_values import ShapValues, TreeShap


@dataclass(frozen=True)
class Contributions:
    """Computes contributions with the model of one package.

    A contribution says how a bridge differs from the scored ones of the tables; it explains the prediction of the
    model, not why a bridge deteriorates.
    """

    package: Package
    model: ServedModel
    tables: StructureTables
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def explain(self, features: np.ndarray) -> ShapValues:
        """Contributions for rows of features, shape (n, features of the model) in natural units.

        Raises
        ------
        RequestError
            501 if this installation, or this package, cannot compute them.
        """
        with self._lock:  # made once, and shap's explainer keeps a state
            return self._shap.values(self._scaled(features))

    @cached_property
    def _shap(self) -> TreeShap:
        from bridge_assets.runtime.package import FOREST
        from bridge_assets.runtime.scoring_model import load_scoring_model

        if FOREST not in self.package.manifest["served"]:
            raise RequestError("explain: the package of this version has no float16 forest; leave 'explain' out", 501)
        try:
            from bridge_assets.scoring.shap_values import TreeShap

            forest = load_scoring_model(self.package).forest
            assert forest is not None
            return TreeShap(forest, self._scaled(self._of_model(self.tables.features[self.tables.scored_rows()])))
        except ImportError as error:
            raise RequestError(
                f"explain: contributions need {error.name}, which is not installed here; leave 'explain' out", 501
            ) from error

    def _of_model(self, features: np.ndarray) -> np.ndarray:
        """The columns of the tables in the order of the model."""
        names: Any = self.tables.info["features"]
        return features[:, [names.index(name) for name in self.model.normalization.features]]

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        import polars as pl

        normalization = self.model.normalization
        table = pl.DataFrame(features, schema=list(normalization.features))
        return normalization.transform(table).select(normalization.features).to_numpy()
