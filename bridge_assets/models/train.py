"""Train a forest. This module only re-exports the public names."""

from bridge_assets.errors import FeatureError, ModelFileError, TrainingError
from bridge_assets.models.dataset.split import split_inspections
from bridge_assets.models.training.skops_file import load_model, save_model
from bridge_assets.models.training.train_forest import (
    holdout_predictions,
    train_forest,
    train_from_parquet,
    training_recipe,
)

__all__ = [
    "FeatureError",
    "ModelFileError",
    "TrainingError",
    "holdout_predictions",
    "load_model",
    "save_model",
    "split_inspections",
    "train_forest",
    "train_from_parquet",
    "training_recipe",
]
