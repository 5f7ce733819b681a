"""A probe that could not detect anything is rejected."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.errors import CanaryMismatch, DeploymentError
from bridge_assets.runtime.probe import Probe, compare_answers, write_probe


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([0.1, float("nan")], "instead of 0.2"),
        ([0.1], "has the wrong shape"),
        ([[0.1], [0.2]], "has the wrong shape"),
    ],
)
def test_an_invalid_answer_to_the_canary_is_rejected(answers, message):
    probe = Probe(("age",), ((1.0,), (2.0,)), (0.1, 0.2))
    with pytest.raises(CanaryMismatch, match=message):
        compare_answers(np.array(answers), probe, "here")


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"features": ["age"], "rows": [], "answers": []}', '{"features": [], "rows": [[1]], "answers": [1]}'],
)
def test_an_empty_or_invalid_probe_is_rejected(tmp_path, content):
    path = tmp_path / "probe.json"
    path.write_text(content)
    with pytest.raises(DeploymentError, match="the probe cannot be read"):
        Probe.load(path)
    with pytest.raises(ValueError, match="not finite"):
        Probe(("age",), ((float("nan"),),), (0.1,))


def test_a_probe_is_saved_without_rounding(tmp_path):
    rows = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    probe = Probe(("a", "b", "c"), tuple(map(tuple, rows.tolist())), tuple(rows[:, 0].tolist()))
    assert Probe.load(probe.save(tmp_path / "probe.json")) == probe
    assert (np.asarray(probe.rows, dtype=np.float32) == rows).all()


def test_rows_are_saved_in_natural_units_with_missing_values_and_predicted_on_the_scale_of_the_model(tmp_path):
    scale = Normalization(("age", "span"), fill=(40.0, 12.0), center=(35.0, 10.0), scale=(20.0, 4.0))
    scaled = np.array([[0.5, -1.0], [0.25, 2.0]] * 8, dtype=np.float32)
    seen = []

    def predict_proba(rows):
        seen.append(rows)
        return rows[:, 0]

    write_probe(predict_proba, scale, scaled, tmp_path / "probe.json")
    probe = Probe.load(tmp_path / "probe.json")
    assert probe.rows[1] == (40.0, 18.0)
    assert probe.rows[0] == (None, 6.0)
    assert probe.rows[8] == (45.0, None)
    assert probe.request_rows()[0] == {"age": None, "span": 6.0}
    assert seen[0][1].tolist() == [0.25, 2.0]
    assert seen[0][0, 0] == 0.25  # the training median, on the scale
    assert probe.answers[1] == 0.25
