"""Log a model version to an MLflow run: parameters, held-out metrics, training data, and what MLflow loads.

Logging is reproducible, so an interrupted registration can be resumed.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bridge_assets.registry.mlflow_model import log_mlflow_model
from bridge_assets.registry.model_version import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EVALUATION = "evaluation.json"

#: MLflow's limits: parameters per call, metrics per call, characters of a data set's digest.
_MAX_PARAMS, _MAX_METRICS, _DATASET_DIGEST = 100, 1000, 36


def import_mlflow() -> Any:
    """Import MLflow with telemetry switched off and without its log lines about database migrations."""
    for variable, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # With the default of seven retries and exponential backoff, a wrong address is reported after minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    }.items():
        os.environ.setdefault(variable, value)
    import mlflow

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    return mlflow


def log_model_version(client: MlflowClient, run_id: str, model_version: ModelVersion) -> None:
    """Log everything about a version except its files."""
    from mlflow.entities import Metric, Param

    manifest = model_version.manifest
    params = [
        Param(key, str(value))
        for key, value in _flatten({"recipe": manifest["recipe"], "made_from": manifest["made_from"]}).items()
    ]
    metrics = []
    if model_version.file(_EVALUATION).is_file():
        figures = _flatten(json.loads(model_version.file(_EVALUATION).read_text(encoding="utf-8")))
        metrics = [
            Metric(key, float(value), timestamp=0, step=0)
            for key, value in figures.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
    for part in _chunks(params, _MAX_PARAMS):
        client.log_batch(run_id, params=part)
    for part in _chunks(metrics, _MAX_METRICS):
        client.log_batch(run_id, metrics=part)
    _log_training_set(client, run_id, model_version)
    log_mlflow_model(client, run_id, model_version)


def _log_training_set(client: MlflowClient, run_id: str, model_version: ModelVersion) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    manifest = model_version.manifest
    value = manifest["stages"].get("training_set")
    if not value:
        return
    made_from = manifest["made_from"]
    features = manifest["recipe"].get("features", [])
    dataset = Dataset(
        name="training_set",
        digest=value[:_DATASET_DIGEST],
        source_type="bridge_assets",
        source=json.dumps({"asset": "training_set", "sha256": value}),
        profile=json.dumps({key: made_from[key] for key in ("survey_years", "training_years") if key in made_from}),
    )
    tags = [InputTag("mlflow.data.context", "training"), InputTag("features", str(len(features)))]
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags)])


def _chunks(values: list, size: int) -> Iterator[list]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings into one, with keys joined by dots."""
    flat = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        flat.update(_flatten(value, name) if isinstance(value, Mapping) else {name: value})
    return flat
