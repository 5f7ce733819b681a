"""Train a random forest on the training inspections and predict the held-out ones."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import FeatureError, TrainingError
from bridge_assets.models.calibration.fit import PROCEDURE
from bridge_assets.models.dataset.matrix import feature_matrix
from bridge_assets.models.dataset.split import canonical_order, holdout_rows, split_inspections, train_rows
from bridge_assets.models.tasks.tasks import TASKS, task_of_table
from bridge_assets.models.training.skops_file import save_model

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.settings import ForestSettings, ModelSettings


def train_forest(training: pl.DataFrame, features: Sequence[str], settings: ForestSettings) -> RandomForestClassifier:
    """Fit a random forest to the training inspections.

    Parameters
    ----------
    training : pl.DataFrame
        With `split`, `fall` and the features, normalised and on float16's grid; for a regression also `change`.
    features : sequence of str
        In the order of the model's input.
    settings : ForestSettings

    Returns
    -------
    RandomForestClassifier
        A CalibratedForest (`calibration.calibrated_forest`) where the table has `rating` and a feature is the rating on
        the model's scale; a RandomForestRegressor where the table has `change`. The same inspections give the same
        forest to the bit, in any order of the rows (`split.canonical_order`) and on any number of processors.

    Raises
    ------
    TrainingError
        If there are no training inspections, or a feature is not on float16's grid.
    FeatureError
        If a feature is not in the table or has missing values.
    """
    import pandas as pd

    task, train = task_of_table(training), canonical_order(train_rows(training))
    if train.is_empty():
        raise TrainingError(
            f"none of {training.height:,} inspections can be used for training",
            why="Only inspections whose outcome was known before the first held-out year are used",
            do="load more survey years, or lower split.holdout_years in configs/model_config.yaml",
        )
    matrix = feature_matrix(train, features)
    _check_float16_grid(matrix, features)
    forest = task.make_forest(
        n_estimators=settings.trees,
        max_depth=settings.depth,
        min_samples_leaf=settings.leaf,
        max_features=settings.features,
        n_jobs=-1,
        random_state=settings.seed,
    )
    with warnings.catch_warnings():
        # An inspection that every one of a few trees was trained on is left out of the calibration.
        warnings.filterwarnings("ignore", message="Some inputs do not have OOB scores")
        forest.fit(pd.DataFrame(matrix, columns=list(features)), task.outcomes(train))
    # Several workers add up the trees' predictions in the order they finish, so the last bit differs from run to run.
    return task.calibrate(forest.set_params(n_jobs=None), train, matrix)


def holdout_predictions(model: RandomForestClassifier, training: pl.DataFrame, features: Sequence[str]) -> np.ndarray:
    """Predictions for the held-out inspections, in their order: probabilities of a fall, or expected changes.

    Parameters
    ----------
    model : RandomForestClassifier
        From `train_forest`.
    training : pl.DataFrame
        With `split` and the features, normalised.
    features : sequence of str
        The model's features, in the order of training.

    Returns
    -------
    np.ndarray
        Shape (n_holdout,), float64.

    Raises
    ------
    FeatureError
        If a feature is not in the table or has missing values.
    """
    import numpy as np
    import pandas as pd

    matrix = feature_matrix(holdout_rows(training), features)
    if not len(matrix):
        return np.empty(0)
    return task_of_table(training).predict(model, pd.DataFrame(matrix, columns=list(features)))


def training_recipe(features: Sequence[str], settings: ForestSettings) -> dict[str, Any]:
    """Everything besides the training set that determines the forest; see `registry.model_version.compute_version`."""
    libraries = {name: version(name) for name in ("scikit-learn", "numpy")}
    return {
        "features": list(features),
        "forest": settings.model_dump(),
        "calibration": PROCEDURE,
        "libraries": libraries,
    }


def train_from_parquet(
    path: Path, model_path: Path, settings: ModelSettings, features: Sequence[str] | None = None
) -> Path:
    """Load features, split, normalise, train and save the model, without Dagster.

    Parameters
    ----------
    path : Path
        Inspections with outcome and features from `data.feature_engineering.training_inspections`; for a regression
        also with `change` (`targets.with_outcomes`).
    model_path : Path
        File of the model. The normalisation is saved in the same folder as `normalization.json`.
    settings : ModelSettings
    features : sequence of str, optional
        The model's features; default: all of `data.features.FEATURE_NAMES`.

    Returns
    -------
    Path
        `model_path`.

    Raises
    ------
    TrainingError, FeatureError
        If there is nothing to train on, a feature is missing, or the table does not fit the task in the settings.
    StorageError
        If an output cannot be written.
    """
    import polars as pl

    from bridge_assets.data.features.definitions import FEATURE_NAMES
    from bridge_assets.data.features.normalization import Normalization

    features = FEATURE_NAMES if features is None else tuple(features)
    table = split_inspections(pl.read_parquet(path), settings.split)
    if missing := [name for name in features if name not in table.columns]:
        raise FeatureError(f"{path} lacks {len(missing)} features: {', '.join(missing)}")
    if task_of_table(table) is not TASKS[settings.task]:
        raise TrainingError(
            f"{path} is a training table for {task_of_table(table).name}, but the task is {settings.task}",
            why="A table for regression has the column change, one for classification does not",
            do=f"set task to {task_of_table(table).name} in configs/model_config.yaml, or build the table again",
        )
    normalization = Normalization.fit(canonical_order(train_rows(table)), features)
    model = train_forest(normalization.transform(table), features, settings.forest)
    normalization.save(model_path.with_name("normalization.json"))
    return save_model(model, model_path)


def _check_float16_grid(matrix: np.ndarray, features: Sequence[str]) -> None:
    import numpy as np

    from bridge_assets.models.forest.quantize import to_float16_grid

    off_grid = to_float16_grid(matrix, features) != matrix
    if off_grid.any():
        row, column = (int(index) for index in np.argwhere(off_grid)[0])
        raise TrainingError(
            f"feature {features[column]}: {matrix[row, column]!r} is not on float16's grid",
            why="The float16 forest would decide differently from this one",
            do="apply the normalisation, or quantization.to_float16_grid, first",
        )
