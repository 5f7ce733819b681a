from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.evaluation.evaluate import evaluate
from bridge_assets.models.evaluation.importance import FeatureImportance, PermutationImportance
from bridge_assets.models.evaluation.plots import calibration_plot_png, importance_plot_png, rolling_origin_plot_png
from bridge_assets.models.evaluation.rolling_origin import rolling_origin
from bridge_assets.models.training.train_forest import holdout_predictions, train_forest
from bridge_assets.settings import EvaluationSettings, ForestSettings, ModelSettings, SplitSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")


def test_the_plot_is_a_reproducible_png(model, training):
    probability = holdout_predictions(model, training, FEATURES)
    picture = calibration_plot_png(training, probability)
    image = Image.open(io.BytesIO(picture))
    assert image.format == "PNG"
    assert image.width > 2 * image.height
    assert len(np.unique(np.asarray(image.convert("L")))) > 50, "nothing was drawn"
    assert calibration_plot_png(training, probability) == picture


def test_importance_is_plotted_even_if_there_is_none():
    losses = {f"feature_{place}": FeatureImportance(0.1 / (place + 1), 0.01) for place in range(20)}
    picture = importance_plot_png(
        PermutationImportance(0.75, 100, 100, 5, losses, {"traffic": FeatureImportance(0.2, 0.02)})
    )
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(picture)).convert("L")))) > 50, "nothing was drawn"
    assert (
        importance_plot_png(PermutationImportance(0.75, 100, 100, 5, losses, {"traffic": FeatureImportance(0.2, 0.02)}))
        == picture
    )
    assert importance_plot_png(None).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "rows",
    [
        pl.col("split") == "train",
        pl.col("split") == "holdout",
        pl.col("split") == "unused",
        (pl.col("split") == "train") | ~pl.col("fall"),
        (pl.col("split") == "train") | (pl.int_range(pl.len()) < 10),
    ],
    ids=["nothing held out", "nothing trained on", "nothing at all", "no fall held out", "hardly anything held out"],
)
def test_too_little_data_still_gives_a_plot(rows, training):
    few = training.filter(rows)
    predictions = np.full(holdout_rows(few).height, 0.1)
    settings = EvaluationSettings(resamples=5)
    for picture in (
        calibration_plot_png(few, predictions),
        rolling_origin_plot_png(evaluate(few, predictions, settings=settings)),
    ):
        assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["training", "changing"])
def test_earlier_cuts_are_plotted_next_to_the_hold_out(kind, request):
    table = request.getfixturevalue(kind)
    settings = ModelSettings(forest=ForestSettings(trees=5, depth=4), split=SplitSettings(rolling_cuts=2))
    answers = holdout_predictions(train_forest(table, FEATURES, settings.forest), table, FEATURES)
    cuts = rolling_origin(table, FEATURES, settings)
    with_cuts, without = (
        evaluate(table, answers, rolling=rolling, settings=EvaluationSettings(resamples=5)) for rolling in (cuts, [])
    )
    picture = rolling_origin_plot_png(with_cuts)
    assert picture == rolling_origin_plot_png(with_cuts) != rolling_origin_plot_png(without)
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(picture)).convert("L")))) > 50, "nothing was drawn"
