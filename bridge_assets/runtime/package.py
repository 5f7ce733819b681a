"""What an endpoint is given: a folder with everything it takes to answer, and the digest of each piece.

    model.onnx           the graph
    forest.safetensors   the float16 forest it was exported from, which answers the same and scores a whole year faster
    normalization.json   the scale its rows must be on
    probe.json           the canary's rows and answers
    manifest.json        the version's manifest, with the digests of the four under `served`

Belongs here: packing a model version, and reading a package with its bytes checked. Does not belong here: where a
package goes (`local` and its siblings).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import CanaryMismatch, DeploymentError, ModelVersionError, error_summary
from bridge_assets.registry.model_version import MANIFEST, ModelVersion
from bridge_assets.runtime.probe import CanaryReport, Probe, compare_answers
from bridge_assets.storage import digest, json_digest, write_json

if TYPE_CHECKING:
    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor
    from bridge_assets.runtime.served_model import ServedModel

MODEL, FOREST, NORMALIZATION, PROBE = "model.onnx", "forest.safetensors", "normalization.json", "probe.json"
PACKAGE_FILES = (MODEL, FOREST, NORMALIZATION, PROBE)

_REDEPLOY_HINT = "deploy the version again: its model folder holds the original"


@dataclass(frozen=True)
class Package:
    """A packed model version. Every file is compared with the manifest whenever it is opened."""

    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        path = self.folder / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            return {**manifest, "served": dict(manifest["served"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeploymentError(
                "the manifest of what is served cannot be read", where=path, why=error_summary(error), do=_REDEPLOY_HINT
            ) from error

    def file(self, name: str) -> Path:
        """The path of a file, after comparing its bytes with the manifest.

        Raises
        ------
        DeploymentError
            If it is gone or its bytes changed.
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
        """Whether this is, to the last bit, the package of that content."""
        try:
            served = self.manifest["served"]
            return content_digest(served) == content and all(self.file(name) for name in served)
        except DeploymentError:
            return False

    def predictor(self) -> OnnxPredictor:
        from bridge_assets.errors import PredictorError
        from bridge_assets.runtime.onnx_predictor import OnnxPredictor

        path = self.file(MODEL)
        try:
            return OnnxPredictor(path)
        except PredictorError as error:
            raise DeploymentError(
                "the model cannot be loaded", where=path, why=error_summary(error), do="materialise onnx_model again"
            ) from error

    def forest(self, predictor: OnnxPredictor) -> Float16Forest | None:
        """The forest that the graph was exported from; None where the package brings none (`bundle`).

        Raises
        ------
        DeploymentError
            If it is damaged, or another than that of the graph.
        """
        from bridge_assets.errors import ForestFileError
        from bridge_assets.models.forest.float16_forest import Float16Forest

        if FOREST not in self.manifest["served"]:
            return None
        path = self.file(FOREST)
        rebuild_hint = "materialise quantized_model and onnx_model again"
        try:
            forest = Float16Forest.load(path)
        except ForestFileError as error:
            why = error_summary(error)
            raise DeploymentError("the forest cannot be loaded", where=path, why=why, do=rebuild_hint) from error
        if forest.checksum != (expected_checksum := predictor.metadata.get("forest_sha256")):
            why = f"Its checksum is {forest.checksum[:12]}, {MODEL} was exported from {str(expected_checksum)[:12]}"
            raise DeploymentError(f"{FOREST} and {MODEL} are not of one model", where=path, why=why, do=rebuild_hint)
        return forest

    def normalization(self) -> Normalization:
        from bridge_assets.data.features.normalization import Normalization

        path = self.file(NORMALIZATION)
        try:
            return Normalization.load(path)
        except (ValueError, KeyError, TypeError) as error:
            raise DeploymentError(
                "the normalization cannot be read",
                where=path,
                why=error_summary(error),
                do="materialise bridge_model again",
            ) from error

    def canary(self) -> CanaryReport:
        """Load the model from this folder and compare its answers with the probe's: `check_probe`."""
        return self.check_probe(self.load_model())

    def check_probe(self, served: ServedModel) -> CanaryReport:
        """Compare the answers of this package's model, once it is loaded, with the probe's.

        Raises
        ------
        CanaryMismatch
            If an answer differs, or model, normalization and probe are not about the same features in the same order.
        DeploymentError
            If a file is damaged.
        """
        probe = Probe.load(self.file(PROBE))
        expected = tuple(served.predictor.features)
        for name, features in ((PROBE, probe.features), (NORMALIZATION, served.normalization.features)):
            if features != expected:
                others = ", ".join(sorted(set(features) ^ set(expected)))
                raise CanaryMismatch(
                    f"{name} and {MODEL} are not of one model",
                    where=self.folder,
                    why=f"Features of only one of them: {others}" if others else "Their features are in another order",
                    do="materialise bridge_model and what follows it again",
                )
        return compare_answers(served.predict(probe.table()).to_numpy(), probe, self.folder)

    def load_model(self) -> ServedModel:
        """The version as scoring uses it: predictor, forest and scale from one folder.

        Raises
        ------
        DeploymentError
            If a file is damaged, or the manifest does not say what the version was trained on.
        """
        from bridge_assets.models.tasks.tasks import task_from_provenance
        from bridge_assets.runtime.served_model import ServedModel

        manifest = self.manifest
        try:
            made_from = manifest["made_from"]
            first, last = made_from["training_years"]
            version, features_digest = manifest["version"], made_from["features_digest"]
        except (KeyError, TypeError, ValueError) as error:
            raise DeploymentError(
                "the manifest does not say what the version was trained on",
                where=self.folder / MANIFEST,
                why=error_summary(error),
                do="materialise training_set and bridge_model again",
            ) from error
        target = task_from_provenance(made_from).target_name(
            made_from.get("target", "fall"), made_from.get("component", "condition")
        )
        predictor = self.predictor()
        return ServedModel(
            version,
            features_digest,
            (first, last),
            self.normalization(),
            predictor,
            target,
            self.forest(predictor),
        )


def served_digests(model_version: ModelVersion) -> dict[str, str]:
    """Digests of the files that an endpoint of this version would be given. Writes nothing.

    Raises
    ------
    DeploymentError
        If the ONNX artifact is not what its manifest says, or a file is missing.
    """
    try:
        model_version.verify_stage("quantized_model")
        model_version.verify_stage("onnx_model")
        return {name: digest(model_version.file(name)) for name in PACKAGE_FILES}
    except ModelVersionError as error:
        raise DeploymentError(
            f"model version {model_version.version} cannot be deployed",
            where=model_version.folder,
            why=str(error).partition(" What to do: ")[0].removesuffix("."),
            do=str(error).partition(" What to do: ")[2] or "materialise onnx_model again",
        ) from error
    except OSError as error:
        raise DeploymentError(
            f"model version {model_version.version} is not complete",
            where=model_version.folder,
            why=error_summary(error),
            do="materialise bridge_model and what follows it again",
        ) from error


def content_digest(served: Mapping[str, str]) -> str:
    """A name for the content of a package: 12 hex digits of its digests."""
    return json_digest(dict(served))[:12]


def pack(model_version: ModelVersion, served: Mapping[str, str], folder: Path) -> Package:
    """Copy a version into a new folder, flushed to the disk.

    Parameters
    ----------
    model_version : ModelVersion
    served : mapping
        What `served_digests` said: the copies must be of exactly these.
    folder : Path
        Must not exist.

    Raises
    ------
    DeploymentError
        If a copy is not of those bytes.
    OSError
        If the disk is full or the folder cannot be written.
    """
    folder.mkdir()
    for name in served:
        shutil.copyfile(model_version.file(name), folder / name)
        fsync(folder / name)
    write_json({**model_version.manifest, "served": dict(served)}, folder / MANIFEST)
    fsync(folder)
    package = Package(folder)
    for name in served:
        package.file(name)
    return package


def fsync(path: Path) -> None:
    """See to it that a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
