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

from bridge_assets.errors import CanaryMismatch, DeploymentError, ModelVersionError, in_one_line
from bridge_assets.registry.model_version import MANIFEST, Candidate
from bridge_assets.runtime.probe import CanaryReport, Probe, compare
from bridge_assets.storage import digest, digest_of, write_json

if TYPE_CHECKING:
    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor
    from bridge_assets.runtime.served_model import ServedModel

MODEL, FOREST, NORMALIZATION, PROBE = "model.onnx", "forest.safetensors", "normalization.json", "probe.json"
SERVED = (MODEL, FOREST, NORMALIZATION, PROBE)

_AGAIN = "deploy the version again: its model folder holds the original"


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
                "the manifest of what is served cannot be read", where=path, why=in_one_line(error), do=_AGAIN
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
            raise DeploymentError(f"{name} cannot be read", where=path, why=in_one_line(error), do=_AGAIN) from error
        if found != expected:
            why = f"Its SHA-256 is {found[:12]}, the manifest says {str(expected)[:12]}"
            raise DeploymentError(f"{name} is not what was deployed", where=path, why=why, do=_AGAIN)
        return path

    def holds(self, content: str) -> bool:
        """Whether this is, to the last bit, the package of that content."""
        try:
            served = self.manifest["served"]
            return content_name(served) == content and all(self.file(name) for name in served)
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
                "the model cannot be loaded", where=path, why=in_one_line(error), do="materialise onnx_model again"
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
        again = "materialise quantized_model and onnx_model again"
        try:
            forest = Float16Forest.load(path)
        except ForestFileError as error:
            why = in_one_line(error)
            raise DeploymentError("the forest cannot be loaded", where=path, why=why, do=again) from error
        if forest.checksum != (of_graph := predictor.metadata.get("forest_sha256")):
            why = f"Its checksum is {forest.checksum[:12]}, {MODEL} was exported from {str(of_graph)[:12]}"
            raise DeploymentError(f"{FOREST} and {MODEL} are not of one model", where=path, why=why, do=again)
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
                why=in_one_line(error),
                do="materialise bridge_model again",
            ) from error

    def canary(self) -> CanaryReport:
        """Load the model from this folder and compare its answers with the probe's: `check`."""
        return self.check(self.served())

    def check(self, served: ServedModel) -> CanaryReport:
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
        return compare(served.answers(probe.table()).to_numpy(), probe, self.folder)

    def served(self) -> ServedModel:
        """The version as scoring uses it: predictor, forest and scale from one folder.

        Raises
        ------
        DeploymentError
            If a file is damaged, or the manifest does not say what the version was trained on.
        """
        from bridge_assets.models.tasks.tasks import recorded
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
                why=in_one_line(error),
                do="materialise training_set and bridge_model again",
            ) from error
        target = recorded(made_from).named(made_from.get("target", "fall"), made_from.get("component", "condition"))
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


def served_digests(candidate: Candidate) -> dict[str, str]:
    """Digests of the files that an endpoint of this version would be given. Writes nothing.

    Raises
    ------
    DeploymentError
        If the ONNX artifact is not what its manifest says, or a file is missing.
    """
    try:
        candidate.verify("quantized_model")
        candidate.verify("onnx_model")
        return {name: digest(candidate.file(name)) for name in SERVED}
    except ModelVersionError as error:
        raise DeploymentError(
            f"model version {candidate.version} cannot be deployed",
            where=candidate.folder,
            why=str(error).partition(" What to do: ")[0].removesuffix("."),
            do=str(error).partition(" What to do: ")[2] or "materialise onnx_model again",
        ) from error
    except OSError as error:
        raise DeploymentError(
            f"model version {candidate.version} is not complete",
            where=candidate.folder,
            why=in_one_line(error),
            do="materialise bridge_model and what follows it again",
        ) from error


def content_name(served: Mapping[str, str]) -> str:
    """A name for the content of a package: 12 hex digits of its digests."""
    return digest_of(dict(served))[:12]


def pack(candidate: Candidate, served: Mapping[str, str], folder: Path) -> Package:
    """Copy a version into a new folder, flushed to the disk.

    Parameters
    ----------
    candidate : Candidate
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
        shutil.copyfile(candidate.file(name), folder / name)
        flush(folder / name)
    write_json({**candidate.manifest, "served": dict(served)}, folder / MANIFEST)
    flush(folder)
    package = Package(folder)
    for name in served:
        package.file(name)
    return package


def flush(path: Path) -> None:
    """See to it that a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
