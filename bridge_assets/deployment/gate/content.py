"""What the gate decides about: every byte of a model version, and the code that serves it.

A check of a stage records a digest of that stage's files together with everything they were made from, so that no file
can be exchanged without changing the digest of a later stage:

    training_set       the training set
    bridge_model       that, the manifest's recipe and provenance, forest, scale, evaluation, model card and plots
    quantized_model    that, and the float16 forest
    onnx_model         that, the ONNX graph, the probe, and the code that a bundle contains: the whole version

Belongs here: these digests. Does not belong here: the files of a version (`registry.model_version`), and the decision
(`decision`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from bridge_assets.deployment.core.bundle import CODE
from bridge_assets.deployment.core.code_archive import code_archive
from bridge_assets.errors import ModelVersionError, error_summary
from bridge_assets.registry.model_version import COMPANION_FILES, MANIFEST, STAGE_FILES, ModelVersion
from bridge_assets.storage import digest, json_digest

#: The manifest's own lists of digests: not trusted, because whoever exchanges a file can edit them too.
_DECLARED = ("stages", "files")


@dataclass(frozen=True)
class VersionContent:
    """The content of a model version, as it is on disk.

    Attributes
    ----------
    version : str
        Its name: that of its folder.
    files : mapping of str to str
        File -> SHA-256 of its bytes: manifest.json and the files of the finished stages.
    stages : mapping of str to str
        Finished stage -> the digest that its checks record.
    """

    version: str
    files: Mapping[str, str]
    stages: Mapping[str, str]


def read_content(model_version: ModelVersion) -> VersionContent:
    """Hash every file of a model version, whatever its manifest says about them.

    Raises
    ------
    ModelVersionError
        If it has no manifest, or a file cannot be read.
    """
    path = model_version.file(MANIFEST)
    try:
        manifest_bytes = path.read_bytes()
        manifest = json.loads(manifest_bytes)
        finished = dict(manifest["stages"])
        files = {MANIFEST: hashlib.sha256(manifest_bytes).hexdigest()}
        stages = {"training_set": finished["training_set"]}
        provenance = {key: value for key, value in manifest.items() if key not in _DECLARED}
        made_from = json_digest(
            {"version": model_version.version, "training_set": finished["training_set"], "manifest": provenance}
        )
        for stage, main_file in STAGE_FILES.items():
            of_stage = {
                name: digest(model_version.file(name))
                for name in (main_file, *COMPANION_FILES.get(stage, ()))
                if model_version.file(name).is_file()
            }
            code = {CODE: hashlib.sha256(code_archive()).hexdigest()} if stage == "onnx_model" else {}
            made_from = json_digest({"made_from": made_from, **of_stage, **code})
            files |= of_stage
            if finished.get(stage) and main_file in of_stage:
                stages[stage] = made_from
    except FileNotFoundError as error:
        raise ModelVersionError(
            f"model version {model_version.version} has no manifest", where=path, do="train it again"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelVersionError(
            f"model version {model_version.version} cannot be read",
            where=model_version.folder,
            why=error_summary(error),
            do="train it again",
        ) from error
    return VersionContent(model_version.version, files, stages)
