"""A model version as a folder: what it was made from, what it consists of, and the digest of each piece.

    <models>/<version>/
        manifest.json          version, digests by stage, what it was trained from
        normalization.json     stage training_set
        model.skops            stage bridge_model
        evaluation.json        stage bridge_model: held-out metrics beside the baselines
        model_card.json, .md   stage bridge_model: what it is, showed, is for, and is not
        calibration.png, importance.png, rolling_origin.png   stage bridge_model: plots
        forest.safetensors     stage quantized_model
        model.onnx             stage onnx_model
        probe.json             canary rows and the answers they must get

The version names the content: the same training set, settings and libraries give the same version, other ones another.
A check says which digest it judged; the gate compares it with the digest in the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge_assets.errors import ModelVersionError
from bridge_assets.storage import digest, json_digest, write_json

MANIFEST = "manifest.json"
LATEST = "latest.json"

#: stage -> the file whose digest stands for it.
STAGE_FILES = {
    "bridge_model": "model.skops",
    "quantized_model": "forest.safetensors",
    "onnx_model": "model.onnx",
}

#: What is made together with a stage and judged with it: its digests stand in the manifest under `files`.
COMPANION_FILES = {
    "bridge_model": (
        "normalization.json",
        "evaluation.json",
        "model_card.json",
        "model_card.md",
        "calibration.png",
        "importance.png",
        "rolling_origin.png",
    ),
    "onnx_model": ("probe.json",),
}


@dataclass(frozen=True)
class ModelVersion:
    """One model version."""

    folder: Path

    @property
    def version(self) -> str:
        return self.folder.name

    def file(self, name: str) -> Path:
        return self.folder / name

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as written.

        Raises
        ------
        ModelVersionError
            If this version does not exist.
        """
        path = self.folder / MANIFEST
        if not path.is_file():
            raise ModelVersionError(
                f"model version {self.version}: {path} is not there. What to do: materialise bridge_model again"
            )
        return json.loads(path.read_text(encoding="utf-8"))

    @property
    def stages(self) -> dict[str, str]:
        """stage -> digest, for the stages that have been made."""
        return dict(self.manifest["stages"])

    def record_stage(self, stage: str) -> str:
        """Note the digests of a stage's file and its companions in the manifest; returns that of the stage's file.

        Stages that were made from an earlier form of this one are struck out: they are not of this version any more.
        """
        manifest = self.manifest
        value = digest(self.file(STAGE_FILES[stage]))
        if manifest["stages"].get(stage) != value:
            later = list(STAGE_FILES)[list(STAGE_FILES).index(stage) + 1 :]
            manifest["stages"] = {
                key: stage_digest for key, stage_digest in manifest["stages"].items() if key not in later
            }
            manifest["stages"][stage] = value
        companion_digests = {
            name: digest(self.file(name)) for name in COMPANION_FILES.get(stage, ()) if self.file(name).is_file()
        }
        manifest["files"] = {**manifest.get("files", {}), **companion_digests}
        write_json(manifest, self.folder / MANIFEST)
        return value

    def verify_stage(self, stage: str) -> Path:
        """The file of a stage, after comparing its bytes, and those of every companion, with the manifest.

        Raises
        ------
        ModelVersionError
            If the stage was never made, a file is gone, or its bytes changed.
        """
        manifest, path = self.manifest, self.file(STAGE_FILES[stage])
        if stage not in manifest["stages"]:
            raise ModelVersionError(
                f"model version {self.version} has no {stage}. What to do: materialise {stage} for this version"
            )
        for name, expected in {**manifest.get("files", {}), path.name: manifest["stages"][stage]}.items():
            made_by = next((key for key, names in COMPANION_FILES.items() if name in names), stage)
            self._verify_digest(name, expected, made_by)
        return path

    def _verify_digest(self, name: str, expected: str, made_by: str) -> None:
        path = self.file(name)
        if not path.is_file():
            what = f"{path} is gone"
        elif (found := digest(path)) != expected:
            what = f"{path} is not what was made: its SHA-256 is {found[:12]}, the manifest says {expected[:12]}"
        else:
            return
        raise ModelVersionError(f"model version {self.version}: {what}. What to do: materialise {made_by} again")


def compute_version(training_set: str, recipe: Mapping[str, Any]) -> str:
    """The name of a version: 12 hex digits of the training set's digest and the recipe (settings, features,
    libraries).
    """
    return json_digest({"training_set": training_set, "recipe": dict(recipe)})[:12]


def create_or_resume(
    models: Path, training_set: str, recipe: Mapping[str, Any], made_from: Mapping[str, Any]
) -> ModelVersion:
    """Begin a version, or go on with it: its folder and manifest, and the pointer to the latest.

    Parameters
    ----------
    models : Path
        Folder of all versions.
    training_set : str
        Digest of the training set.
    recipe : mapping
        Everything else that decides the result.
    made_from : mapping
        Provenance for people: years, row counts, sources.
    """
    model_version = ModelVersion(models / compute_version(training_set, recipe))
    if not (model_version.folder / MANIFEST).is_file():
        manifest = {
            "version": model_version.version,
            "stages": {"training_set": training_set},
            "recipe": dict(recipe),
            "made_from": dict(made_from),
        }
        write_json(manifest, model_version.folder / MANIFEST)
    write_json({"version": model_version.version}, models / LATEST)
    return model_version


def latest_version(models: Path) -> ModelVersion:
    """The version trained last, whatever its checks said.

    Raises
    ------
    ModelVersionError
        If no model has been trained.
    """
    path = models / LATEST
    if not path.is_file():
        raise ModelVersionError(
            f"no model has been trained ({path} is not there). What to do: materialise bridge_model"
        )
    return get_version(models, json.loads(path.read_text(encoding="utf-8"))["version"])


def get_version(models: Path, version: str) -> ModelVersion:
    """A version by its name.

    Raises
    ------
    ModelVersionError
        If there is none of that name; lists those there are.
    """
    model_version = ModelVersion(models / version)
    if not (model_version.folder / MANIFEST).is_file():
        available = ", ".join(sorted(path.parent.name for path in models.glob(f"*/{MANIFEST}"))) or "none"
        raise ModelVersionError(f"there is no model version {version!r} in {models}. There are: {available}")
    return model_version
