"""A packaged model version for batch scoring: with its float16 forest, its task and its target.

Belongs here: whatever batch scoring needs beyond an endpoint. Not shipped in a bundle (`deployment.core.code_archive`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.errors import DeploymentError, ForestFileError, error_summary
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.tasks.tasks import TASKS, task_from_provenance
from bridge_assets.runtime.package import FOREST, MODEL, Package
from bridge_assets.runtime.served_model import ServedModel

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.models.tasks.base import Task
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor
    from bridge_assets.runtime.probe import CanaryReport

#: Smallest number of rows for which the forest's compiled loops are used: for fewer, loading them takes longer than
#: running the graph.
_COMPILED_MIN_ROWS = 10_000


@dataclass(frozen=True)
class ScoringModel(ServedModel):
    """A served model with target and forest, for scoring a whole survey year.

    Attributes
    ----------
    target : str
        Name of the target (`Task.target_name`).
    forest : Float16Forest, optional
        The forest that the predictor's graph was exported from. It gives the same predictions, faster for many rows.
    """

    target: str = "fall"
    forest: Float16Forest | None = None

    @property
    def task(self) -> Task:
        return TASKS[self.predictor.task_name]

    def _predict_scaled(self, scaled: np.ndarray) -> np.ndarray:
        if self.forest is not None and len(scaled) >= _COMPILED_MIN_ROWS:
            return self.task.predict(self.forest, scaled)
        return super()._predict_scaled(scaled)


def load_scoring_model(package: Package) -> ScoringModel:
    """Load predictor, normalization and forest from one package.

    Raises
    ------
    DeploymentError
        If a file is damaged, or the manifest does not record the training data.
    """
    served = package.load_model()
    made_from = package.manifest["made_from"]
    target = task_from_provenance(made_from).target_name(
        made_from.get("target", "fall"), made_from.get("component", "condition")
    )
    return ScoringModel(
        served.version,
        served.features_digest,
        served.training_years,
        served.normalization,
        served.predictor,
        target,
        _load_forest(package, served.predictor),
    )


def canary(package: Package) -> CanaryReport:
    """Load everything from a package, including the forest, and compare its predictions with the probe's.

    Raises
    ------
    CanaryMismatch
        If a prediction differs.
    DeploymentError
        If a file is damaged.
    """
    return package.check_probe(load_scoring_model(package))


def _load_forest(package: Package, predictor: OnnxPredictor) -> Float16Forest | None:
    """The forest that the graph was exported from; None if the package has none, as in a bundle.

    Raises
    ------
    DeploymentError
        If it is damaged, or the graph was exported from another forest.
    """
    if FOREST not in package.manifest["served"]:
        return None
    path = package.file(FOREST)
    do = "quantize and export the model version again"
    try:
        forest = Float16Forest.load(path)
    except ForestFileError as error:
        raise DeploymentError(
            "the forest cannot be loaded", where=path, why=error_summary(error), do=do, stage="quantized_model"
        ) from error
    if forest.checksum != (expected_checksum := predictor.metadata.get("forest_sha256")):
        raise DeploymentError(
            f"{FOREST} and {MODEL} belong to different models",
            where=path,
            why=f"Its checksum is {forest.checksum[:12]}, {MODEL} was exported from {str(expected_checksum)[:12]}",
            do=do,
            stage="quantized_model",
        )
    return forest
