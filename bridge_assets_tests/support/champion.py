"""A candidate, a champion and a hold-out whose outcomes are partly known, for the tests of the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from support.model_versions import FEATURES

from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.settings import GateSettings, ModelSettings
from bridge_assets.storage import write_json


def make_inspections() -> pl.DataFrame:
    """6,000 inspections of 2018 and 2020 with features in natural units; falls depend partly on `condition`."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(6000, len(FEATURES))).astype(np.float32)
    return pl.DataFrame(
        {
            "structure_key": [f"01-{number // 2:06d}" for number in range(len(rows))],
            "survey_year": np.tile(np.array([2018, 2020], dtype=np.int16), len(rows) // 2),
            "next_survey_year": np.tile(np.array([2020, 2022], dtype=np.int16), len(rows) // 2),
            "fall": rows[:, 0] + random.normal(size=len(rows)) > 0.5,
        }
    ).with_columns(pl.Series(name, rows[:, index]) for index, name in enumerate(FEATURES))


def gate_settings(**gate: Any) -> ModelSettings:
    """The default settings except for these gate settings."""
    return ModelSettings(gate=GateSettings(**gate))


def with_recorded_metrics(
    version: ModelVersion, folder: Path, auc: float, brier: float, **made_from: Any
) -> ModelVersion:
    """A copy of a version that records other metrics and provenance, as if it had been trained earlier."""
    copy = ModelVersion(folder / version.version)
    copy.folder.mkdir(parents=True)
    for path in version.folder.iterdir():
        copy.file(path.name).write_bytes(path.read_bytes())
    metrics = {
        "model": {"auc": auc, "brier": brier},
        "rating_table": {"auc": 0.6, "brier": 0.1},
        "base_rate": {"auc": 0.5, "brier": 0.1},
    }
    write_json({"scores": metrics}, copy.file("evaluation.json"))
    manifest = copy.manifest
    write_json({**manifest, "made_from": {**manifest["made_from"], **made_from}}, copy.file("manifest.json"))
    copy.record_stage("bridge_model")
    # Recording the stage again keeps the later ones, because the model's bytes are the same.
    assert "onnx_model" in copy.stages
    return copy
