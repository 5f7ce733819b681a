"""A canary proves something, or is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_assets.deployment.base import CanaryMismatch, DeploymentError, Probe, canary


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([0.1, float("nan")], "instead of 0.2"),
        ([0.1], "did not come back whole"),
        ([[0.1], [0.2]], "not come back whole"),
    ],
)
def test_a_canary_takes_nothing_for_an_answer(answers, said):
    probe = Probe(("age",), ((1.0,), (2.0,)), (0.1, 0.2))
    with pytest.raises(CanaryMismatch, match=said):
        canary(lambda rows: np.array(answers), probe, "here")


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"features": ["age"], "rows": [], "answers": []}', '{"features": [], "rows": [[1]], "answers": [1]}'],
)
def test_a_probe_that_proves_nothing_is_refused(tmp_path, content):
    path = tmp_path / "probe.json"
    path.write_text(content)
    with pytest.raises(DeploymentError, match="the probe cannot be read"):
        Probe.load(path)
    with pytest.raises(ValueError, match="not finite"):
        Probe(("age",), ((float("nan"),),), (0.1,))


def test_a_probe_keeps_every_bit(tmp_path):
    rows = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    probe = Probe(("a", "b", "c"), tuple(map(tuple, rows.tolist())), tuple(rows[:, 0].tolist()))
    assert Probe.load(probe.save(tmp_path / "probe.json")) == probe
    assert (np.asarray(probe.rows, dtype=np.float32) == rows).all()
