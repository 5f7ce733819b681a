"""Small model versions with every stage, for tests of registries, scoring and the gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bridge_assets.registry.model_version import ModelVersion, create_or_resume
from bridge_assets.storage import write_json, write_text

FEATURES = ("condition", "age", "traffic", "span")
NAME = "bridge_fall"


def make_version(
    models: Path, seed: int, skill: float = 1.0, center: float = 0.0, scale: float = 1.0, **made_from
) -> ModelVersion:
    """A version with every stage, a model card and an evaluation; another seed or skill gives another version.

    In its training data the likelihood of a fall depends on `condition` times `skill`; with task="regression" a fall is
    one point. `center` and `scale` are those of its normalization.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.models.forest.onnx_export import export_to_onnx
    from bridge_assets.models.forest.quantize import quantize_rf, to_float16_grid
    from bridge_assets.models.training.skops_file import save_model
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor
    from bridge_assets.runtime.probe import write_probe

    random = np.random.default_rng(seed)
    rows = to_float16_grid(random.normal(size=(400, len(FEATURES))))
    falls = skill * rows[:, 0] + random.normal(size=len(rows)) > 0.5
    if made_from.get("task") == "regression":
        forest = RandomForestRegressor(8, max_depth=4, random_state=seed, n_jobs=1).fit(rows, -falls.astype(float))
    else:
        forest = RandomForestClassifier(8, max_depth=4, random_state=seed, n_jobs=1).fit(rows, falls)
    forest.feature_names_in_ = np.array(FEATURES, dtype=object)
    made_from = {"features_digest": "f" * 12, "training_years": [2010, 2020], "survey_years": [2009, 2021]} | made_from
    recipe = {"seed": seed, "skill": skill, "features": list(FEATURES)}
    if (center, scale) != (0.0, 1.0):
        recipe["scaling"] = [center, scale]
    candidate = create_or_resume(models, "a" * 64, recipe, made_from)
    centers, scales = (center,) * len(FEATURES), (scale,) * len(FEATURES)
    normalization = Normalization(FEATURES, centers, centers, scales)
    normalization.save(candidate.file("normalization.json"))
    write_json({"scores": {"model": {"auc": 0.7 + seed / 1000}}}, candidate.file("evaluation.json"))
    write_text(f"# Model {candidate.version}\n", candidate.file("model_card.md"))
    save_model(forest, candidate.file("model.skops"))
    candidate.record_stage("bridge_model")
    quantized = quantize_rf(forest)
    quantized.save(candidate.file("forest.safetensors"))
    candidate.record_stage("quantized_model")
    export_to_onnx(quantized, rows, candidate.file("model.onnx"))
    predictor = OnnxPredictor(candidate.file("model.onnx"))
    write_probe(predictor.predict, normalization, rows[:32], candidate.file("probe.json"))
    candidate.record_stage("onnx_model")
    return candidate


def file_contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
