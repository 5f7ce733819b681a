"""Published scores: the first ones of each model version stay, whatever is scored later."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.data.lake import Lake
from bridge_assets.errors import StorageError
from bridge_assets.file_lock import file_lock
from bridge_assets.runtime.scoring_model import ScoringModel
from bridge_assets.scoring import published
from bridge_assets.scoring.published import TABLE_NAME, publish_scores, unpublished_years


class _Predictor:
    task_name = "classification"


def model(version: str = "v1") -> ScoringModel:
    normalization = Normalization((), (), (), ())
    return ScoringModel(version, "f", (2010, 2018), normalization, _Predictor())  # type: ignore[arg-type]


def scores(probability: float, version: str = "v1", rows: int = 3) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "structure_key": [f"19-{row}" for row in range(rows)],
            "survey_year": pl.Series([2020] * rows, dtype=pl.Int16),
            "inspection_date": [date(2019, 6, 1)] * rows,
            "condition": pl.Series([6] * rows, dtype=pl.Int8),
            "fall_probability": pl.Series(np.full(rows, probability), dtype=pl.Float32),
            "target": ["fall"] * rows,
            "model_version": [version] * rows,
        }
    )


def test_the_first_scores_of_a_version_stay(tmp_path) -> None:
    lake = Lake(tmp_path)
    assert publish_scores(lake, scores(0.1), 2020, model())
    first = lake.read_year(TABLE_NAME, 2020)
    assert not publish_scores(lake, scores(0.9), 2020, model())
    assert lake.read_year(TABLE_NAME, 2020).equals(first)
    assert publish_scores(lake, scores(0.2, "v2"), 2020, model("v2"))
    both = lake.read_year(TABLE_NAME, 2020)
    assert both.head(3).equals(first)
    assert both["model_version"].to_list() == ["v1"] * 3 + ["v2"] * 3
    assert both["prediction"].to_list() == pytest.approx([0.1] * 3 + [0.2] * 3)
    assert set(both["training_until"]) == {2018}
    age = datetime.now(UTC).replace(tzinfo=None) - both["published_at"][0]
    assert 0 <= age.total_seconds() < 60
    assert lake.available_years(TABLE_NAME) == [2020]


def test_versions_that_publish_at_once_all_stay(tmp_path) -> None:
    lake, names = Lake(tmp_path), [f"v{number}" for number in range(8)]
    threads = [
        threading.Thread(target=publish_scores, args=(lake, scores(0.1, name), 2020, model(name))) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lake.read_year(TABLE_NAME, 2020)["model_version"].unique()) == names


def test_another_run_that_does_not_finish_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(published, "_LOCK_SECONDS", 0.1)
    lake = Lake(tmp_path)
    with (
        file_lock(lake.year_path(TABLE_NAME, 2020).with_name(".2020.lock")),
        pytest.raises(StorageError, match="the scores of 2020 could not be published"),
    ):
        publish_scores(lake, scores(0.1), 2020, model())


def test_scores_that_are_not_kept_are_named(tmp_path) -> None:
    lake = Lake(tmp_path)
    for year, version in ((2018, "v1"), (2019, "v1"), (2020, "v2")):
        lake.write(scores(0.1, version), "bridge_predictions", year)
    publish_scores(lake, scores(0.1), 2018, model())
    publish_scores(lake, scores(0.1, "v2"), 2019, model("v2"))
    assert unpublished_years(lake, "v1") == [2019]
    assert unpublished_years(lake, "v2") == [2020]
    assert unpublished_years(lake, "v3") == []
