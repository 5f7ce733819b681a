from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from bridge_assets.models.plots import calibration_plot_png
from bridge_assets.models.split import holdout_rows
from bridge_assets.models.train import holdout_answers

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")


def test_the_picture_is_a_png_and_the_same_each_time(model, training):
    probability = holdout_answers(model, training, FEATURES)
    picture = calibration_plot_png(training, probability)
    image = Image.open(io.BytesIO(picture))
    assert image.format == "PNG"
    assert image.width > 2 * image.height
    assert len(np.unique(np.asarray(image.convert("L")))) > 50, "nothing was drawn"
    assert calibration_plot_png(training, probability) == picture


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
def test_too_little_data_still_gives_a_picture(rows, training):
    few = training.filter(rows)
    picture = calibration_plot_png(few, np.full(holdout_rows(few).height, 0.1))
    assert picture.startswith(b"\x89PNG")
