"""A model version as a folder: its files, their digests, and its provenance.

    <models>/<version>/
        manifest.json          version, digest of each stage, provenance
        normalization.json     stage bridge_model: the features' scale, fitted on the training split
        model.skops            stage bridge_model: the scikit-learn forest
        evaluation.json        stage bridge_model: held-out metrics, with those of the baselines
        model_card.json, .md   stage bridge_model: purpose, data, metrics and limits
        calibration.png, importance.png, rolling_origin.png   stage bridge_model: plots
        forest.safetensors     stage quantized_model
        model.onnx             stage onnx_model
        probe.json             stage onnx_model: canary rows and the predictions expected for them
    <models>/latest.json       the version trained last, for the command line only

The version is a digest of its inputs: the same training set, settings and libraries give the same version; any
difference gives another one. A check records the digest that it checked; the gate compares it with the manifest.

`latest.json` is for the command line and callers without Dagster. The assets never read it: each stage gets the version
from its upstream stage, so that two concurrent trainings cannot mix.

Belongs here: the folder, the manifest and the digests. Does not belong here: registering a version
(`registry.register`), and which version a stage works on (`orchestration.model_chain`).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge_assets.errors import ModelVersionError
from bridge_assets.storage import digest, json_digest, write_json

MANIFEST = "manifest.json"
LATEST = "latest.json"

#: Stage -> the file whose digest identifies it.
STAGE_FILES = {
    "bridge_model": "model.skops",
    "quantized_model": "forest.safetensors",
    "onnx_model": "model.onnx",
}

#: Stage -> files written and verified together with it; the manifest lists their digests under `files`.
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


#: Stage -> what to do where it is missing or damaged.
_REMEDIES = {
    "bridge_model": "train it again",
    "quantized_model": "quantize the model version again",
    "onnx_model": "export the model version to ONNX again",
}


@dataclass(frozen=True)
class ModelVersion:
    """One model version.

    Attributes
    ----------
    folder : Path
        Its name is the version.
    """

    folder: Path

    @property
    def version(self) -> str:
        return self.folder.name

    def file(self, name: str) -> Path:
        return self.folder / name

    @property
    def manifest(self) -> dict[str, Any]:
        """The content of manifest.json.

        Raises
        ------
        ModelVersionError
            If this version does not exist.
        """
        path = self.folder / MANIFEST
        if not path.is_file():
            raise ModelVersionError(
                f"model version {self.version} has no manifest",
                where=path,
                do="train it again",
                stage="bridge_model",
            )
        return json.loads(path.read_text(encoding="utf-8"))

    @property
    def stages(self) -> dict[str, str]:
        """Stage -> digest, for the stages completed so far."""
        return dict(self.manifest["stages"])

    def record_stage(self, stage: str) -> str:
        """Write the digests of a stage's files into the manifest; returns that of the stage's main file.

        Later stages are removed from the manifest if this stage's file has changed: they were made from the old one.
        """
        value = digest(self.file(STAGE_FILES[stage]))
        companion_digests = {
            name: digest(self.file(name)) for name in COMPANION_FILES.get(stage, ()) if self.file(name).is_file()
        }
        with _exclusive_lock(self.folder):  # two runs may be writing stages of the same version
            manifest = self.manifest
            if manifest["stages"].get(stage) != value:
                later = list(STAGE_FILES)[list(STAGE_FILES).index(stage) + 1 :]
                manifest["stages"] = {
                    key: stage_digest for key, stage_digest in manifest["stages"].items() if key not in later
                }
                manifest["stages"][stage] = value
            manifest["files"] = {**manifest.get("files", {}), **companion_digests}
            write_json(manifest, self.folder / MANIFEST)
        return value

    def verify_stage(self, stage: str) -> Path:
        """The main file of a stage, after comparing its digest, and those of all companion files, with the manifest.

        Raises
        ------
        ModelVersionError
            If the stage is not complete, or a file is missing or has changed.
        """
        manifest, path = self.manifest, self.file(STAGE_FILES[stage])
        if stage not in manifest["stages"]:
            raise ModelVersionError(
                f"model version {self.version} has no {stage}",
                where=self.folder / MANIFEST,
                do=_REMEDIES[stage],
                stage=stage,
            )
        for name, expected in {**manifest.get("files", {}), path.name: manifest["stages"][stage]}.items():
            owner = next((key for key, names in COMPANION_FILES.items() if name in names), stage)
            self._verify_digest(name, expected, owner)
        return path

    def _verify_digest(self, name: str, expected: str, stage: str) -> None:
        path = self.file(name)
        if not path.is_file():
            problem, why = "is missing", ""
        elif (found := digest(path)) != expected:
            problem = "has changed since it was written"
            why = f"Its SHA-256 is {found[:12]}, the manifest says {expected[:12]}"
        else:
            return
        raise ModelVersionError(
            f"{name} of model version {self.version} {problem}",
            where=path,
            why=why,
            do=_REMEDIES[stage],
            stage=stage,
        )


def declared_digests(manifest: Mapping[str, Any]) -> dict[str, str]:
    """File -> SHA-256, of the files that a manifest declares: those of its stages and their companions."""
    main = {STAGE_FILES[stage]: value for stage, value in manifest["stages"].items() if stage in STAGE_FILES}
    return {**main, **manifest.get("files", {})}


def compute_version(training_set: str, recipe: Mapping[str, Any]) -> str:
    """The name of a version: 12 hex digits of the digest of the training set and the recipe.

    The recipe consists of settings, features and libraries.
    """
    return json_digest({"training_set": training_set, "recipe": dict(recipe)})[:12]


def create_or_resume(
    models: Path, training_set: str, recipe: Mapping[str, Any], made_from: Mapping[str, Any]
) -> ModelVersion:
    """Create a version's folder and manifest, or resume an existing one; points latest.json at it.

    Parameters
    ----------
    models : Path
        Folder of all versions.
    training_set : str
        Digest of the training set.
    recipe : mapping
        Everything else that determines the result.
    made_from : mapping
        Provenance for readers: years, row counts, sources.
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
    """The version trained last, whether or not its checks passed: the default of the command line.

    Raises
    ------
    ModelVersionError
        If no model has been trained.
    """
    path = models / LATEST
    if not path.is_file():
        raise ModelVersionError(
            "no model has been trained yet", where=path, do="train one, for example with `bridge-assets run`"
        )
    return get_version(models, json.loads(path.read_text(encoding="utf-8"))["version"])


def get_version(models: Path, version: str) -> ModelVersion:
    """Look up a version by its name, which is never taken as a path.

    Raises
    ------
    ModelVersionError
        If it does not exist; the message lists the available versions.
    """
    available = sorted(path.parent.name for path in models.glob(f"*/{MANIFEST}"))
    if version not in available:
        listed = ", ".join(available) or "none"
        raise ModelVersionError(f"there is no model version {version!r} in {models}. Available: {listed}")
    return ModelVersion(models / version)


@contextmanager
def _exclusive_lock(folder: Path) -> Iterator[None]:
    """Wait for and hold the lock on a folder; the operating system releases it when the process ends for any reason."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
