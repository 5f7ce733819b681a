"""A package: the folder that an endpoint serves, with the digest of each file.

    model.onnx           the ONNX graph
    forest.safetensors   the float16 forest that the graph was exported from; it scores a whole year faster (local only)
    normalization.json   fill values, means and standard deviations that scale a request's features
    probe.json           the canary's rows and expected predictions
    structures.arrow, structures.json, deterioration.json
                         what is known about each structure, for raw records and structure keys
                         (`structure_tables`; local only, and only if the lake had the tables)
    manifest.json        the version's manifest, with the digests of the other files under `served`

Belongs here: reading a package and comparing every file with its digest. Does not belong here: building one
(`deployment.core.packing`), and deploying it (`deployment.local` and the cloud targets).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import CanaryMismatch, DeploymentError, PredictorError, error_summary
from bridge_assets.runtime.probe import CanaryReport, Probe, compare_answers
from bridge_assets.storage import digest, json_digest

if TYPE_CHECKING:
    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor
    from bridge_assets.runtime.served_model import ServedModel

MODEL, FOREST, NORMALIZATION, PROBE = "model.onnx", "forest.safetensors", "normalization.json", "probe.json"
PACKAGE_FILES = (MODEL, FOREST, NORMALIZATION, PROBE)
STRUCTURES, STRUCTURES_INFO, DETERIORATION = "structures.arrow", "structures.json", "deterioration.json"
TABLE_FILES = (STRUCTURES, STRUCTURES_INFO, DETERIORATION)
MANIFEST = "manifest.json"

_REDEPLOY_HINT = "deploy the version again: its model folder holds the original"


@dataclass(frozen=True)
class Package:
    """A packaged model version. Every file is compared with the manifest each time it is opened."""

    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest. Raises DeploymentError if it is missing or damaged."""
        path = self.folder / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            return {**manifest, "served": dict(manifest["served"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeploymentError(
                "the manifest of the deployed package cannot be read",
                where=path,
                why=error_summary(error),
                do=_REDEPLOY_HINT,
            ) from error

    def file(self, name: str) -> Path:
        """The path of a file, after comparing its bytes with the manifest.

        Raises
        ------
        DeploymentError
            If it is missing or its bytes changed.
        """
        path, expected = self.folder / name, self.manifest["served"].get(name)
        try:
            found = digest(path)
        except OSError as error:
            raise DeploymentError(
                f"{name} cannot be read", where=path, why=error_summary(error), do=_REDEPLOY_HINT
            ) from error
        if found != expected:
            why = f"Its SHA-256 is {found[:12]}, the manifest says {str(expected)[:12]}"
            raise DeploymentError(f"{name} is not what was deployed", where=path, why=why, do=_REDEPLOY_HINT)
        return path

    def matches_content(self, content: str) -> bool:
        """Whether every file of this package is intact and together they have this `content_digest`."""
        try:
            served = self.manifest["served"]
            return content_digest(served) == content and all(self.file(name) for name in served)
        except DeploymentError:
            return False

    def predictor(self) -> OnnxPredictor:
        """Load the ONNX graph. Raises DeploymentError if it is damaged or ONNX Runtime cannot load it."""
        from bridge_assets.runtime.onnx_predictor import OnnxPredictor

        path = self.file(MODEL)
        try:
            return OnnxPredictor(path)
        except PredictorError as error:
            raise DeploymentError(
                "the model cannot be loaded",
                where=path,
                why=error_summary(error),
                do="export the model version again",
                stage="onnx_model",
            ) from error

    def normalization(self) -> Normalization:
        """Load the normalization. Raises DeploymentError if it is damaged or was not written by training."""
        from bridge_assets.data.features.normalization import Normalization

        path = self.file(NORMALIZATION)
        try:
            return Normalization.load(path)
        except (ValueError, KeyError, TypeError) as error:
            raise DeploymentError(
                "the normalization cannot be read",
                where=path,
                why=error_summary(error),
                do="train the model version again",
                stage="bridge_model",
            ) from error

    def canary(self) -> CanaryReport:
        """Load the model from this folder and check its predictions for the probe; see `check_probe`."""
        return self.check_probe(self.load_model())

    def check_probe(self, served: ServedModel) -> CanaryReport:
        """Compare the predictions of this package's loaded model with those in the probe.

        Raises
        ------
        CanaryMismatch
            If a prediction differs, or model, normalization and probe do not have the same features in the same order.
        DeploymentError
            If a file is damaged.
        """
        probe = Probe.load(self.file(PROBE))
        expected = tuple(served.predictor.features)
        for name, features in ((PROBE, probe.features), (NORMALIZATION, served.normalization.features)):
            if features != expected:
                others = ", ".join(sorted(set(features) ^ set(expected)))
                raise CanaryMismatch(
                    f"{name} and {MODEL} belong to different models",
                    where=self.folder,
                    why=f"Features of only one of them: {others}" if others else "Their features are in another order",
                    do="train, quantize and export the model version again",
                    stage="bridge_model",
                )
        return compare_answers(served.predict(probe.table()).to_numpy(), probe, self.folder)

    def load_model(self) -> ServedModel:
        """Load predictor and normalization as an endpoint serves them.

        Raises
        ------
        DeploymentError
            If a file is damaged, or the manifest does not record the training data.
        """
        from bridge_assets.runtime.served_model import ServedModel

        manifest = self.manifest
        try:
            made_from = manifest["made_from"]
            first, last = made_from["training_years"]
            version, features_digest = manifest["version"], made_from["features_digest"]
        except (KeyError, TypeError, ValueError) as error:
            raise DeploymentError(
                "the manifest does not record the training data of the version",
                where=self.folder / MANIFEST,
                why=error_summary(error),
                do="build the training set and train the model version again",
                stage="training_set",
            ) from error
        return ServedModel(version, features_digest, (first, last), self.normalization(), self.predictor())


def content_digest(served: Mapping[str, str]) -> str:
    """Identifier of a package's content: 12 hex digits over the mapping of file name to SHA-256.

    With tables of structures, a point and 8 more digits over those: the same model with newer tables is another
    package, but not another model (`endpoint_folder.model_of`).
    """
    model, tables = (
        {name: sha256 for name, sha256 in served.items() if (name in TABLE_FILES) == is_table}
        for is_table in (False, True)
    )
    return json_digest(model)[:12] + (f".{json_digest(tables)[:8]}" if tables else "")


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
