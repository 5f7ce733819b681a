"""Small model versions with the stages that an endpoint needs, and checks of a local endpoint that serves them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.registry.model_version import ModelVersion, create_or_resume
from bridge_assets.runtime.endpoint_folder import EndpointFolder
from bridge_assets.runtime.package import PACKAGE_FILES, Package
from bridge_assets.runtime.probe import Probe, write_probe
from bridge_assets.storage import write_json

FEATURES = ("condition", "age", "traffic", "span")


def make_model_version(models: Path, seed: int, features: tuple[str, ...] = FEATURES) -> ModelVersion:
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.models.forest.onnx_export import export_to_onnx
    from bridge_assets.models.forest.quantize import quantize_rf, to_float16_grid
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor

    random = np.random.default_rng(seed)
    rows = to_float16_grid(random.normal(size=(400, len(features))))
    falls = (rows[:, 0] + random.normal(size=len(rows)) > 0.5).astype(int)
    forest = RandomForestClassifier(8, max_depth=4, random_state=seed, n_jobs=1).fit(rows, falls)
    forest.feature_names_in_ = np.array(features, dtype=object)
    made_from = {"features_digest": "f" * 12, "training_years": [2010, 2020]}
    candidate = create_or_resume(models, "a" * 64, {"seed": seed}, made_from)
    zeros, ones = (0.0,) * len(features), (1.0,) * len(features)
    normalization = Normalization(features, zeros, zeros, ones)
    normalization.save(candidate.file("normalization.json"))
    quantized = quantize_rf(forest)
    quantized.save(candidate.file("forest.safetensors"))
    candidate.record_stage("quantized_model")
    export_to_onnx(quantized, rows, candidate.file("model.onnx"))
    predictor = OnnxPredictor(candidate.file("model.onnx"))
    write_probe(predictor.predict, normalization, rows[:32], candidate.file("probe.json"))
    candidate.record_stage("onnx_model")
    return candidate


def is_serving(endpoint: LocalEndpoint, candidate: ModelVersion) -> bool:
    probe = Probe.load(candidate.file("probe.json"))
    found = endpoint.load_model().predict(probe.table()).to_numpy()
    return endpoint.current() == candidate.version and np.allclose(found, probe.answers, rtol=0, atol=1e-6)


def leftovers(endpoint: LocalEndpoint) -> list[Path]:
    return [path for path in endpoint.root.glob(".*") if path.name != ".lock"]


def assert_consistent(endpoint: LocalEndpoint) -> None:
    """Every visible package is complete, and the current one passes its canary."""
    folder = EndpointFolder(endpoint.root)
    for name in folder.on_disk():
        assert Package(folder.package(name)).matches_content(name.rpartition("-")[2]), name
    assert folder.current() in folder.on_disk()
    endpoint.canary()


def snapshot(root: Path) -> dict[str, str]:
    """Every file and link below a folder, so that rewriting a file changes the result."""
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else f"{path.stat().st_mtime_ns} {path.stat().st_ino}"
        for path in sorted(root.rglob("*"))
        if (path.is_symlink() or path.is_file()) and path.name != ".lock"
    }


def corrupt_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def exchange(target: ModelVersion, source: ModelVersion) -> None:
    """Replace a version's served files by another's, and the digests in its manifest: what who writes there can do."""
    for name in PACKAGE_FILES:
        shutil.copyfile(source.file(name), target.file(name))
    declared = {key: source.manifest[key] for key in ("stages", "files")}
    write_json({**target.manifest, **declared}, target.file("manifest.json"))
