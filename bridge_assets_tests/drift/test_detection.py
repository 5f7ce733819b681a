"""`compute_ks_drift`, the public function."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from bridge_assets.drift.detection import compute_ks_drift


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestComputeKsDrift:
    def test_is_the_two_sample_test_of_scipy_in_plain_floats(self) -> None:
        ref, prod = pd.Series(rng(1).normal(size=300)), pd.Series(rng(2).normal(0.3, 1, size=200))
        statistic, p_value = compute_ks_drift(ref, prod)
        assert (type(statistic), type(p_value)) == (float, float)
        assert (statistic, p_value) == tuple(ks_2samp(ref, prod))

    def test_is_the_largest_gap_between_two_step_functions(self) -> None:
        # Up to 2 are three quarters of the first sample and one quarter of the second.
        assert compute_ks_drift(pd.Series([1, 2, 2, 5]), pd.Series([2, 3, 4, 5]))[0] == pytest.approx(0.5)

    def test_disjoint_samples_give_one_and_equal_samples_zero(self) -> None:
        assert compute_ks_drift(pd.Series([1, 2, 3]), pd.Series([7, 8, 9]))[0] == 1.0
        assert compute_ks_drift(pd.Series([4, 4, 4]), pd.Series([4, 4])) == (0.0, 1.0)

    def test_missing_values_are_ignored(self) -> None:
        complete, gaps = pd.Series([1.0, 2.0, 3.0]), pd.Series([1.0, None, 2.0, np.nan, 3.0], index=[9, 9, 2, 1, 0])
        assert compute_ks_drift(gaps, complete)[0] == 0.0
        assert compute_ks_drift(pd.Series([1, None, 2, 3], dtype="Int64"), complete)[0] == 0.0

    def test_booleans_count_as_zero_and_one(self) -> None:
        assert compute_ks_drift(pd.Series([True] * 3 + [False]), pd.Series([0, 0, 0, 1]))[0] == pytest.approx(0.5)

    @pytest.mark.parametrize("empty", [pd.Series([], dtype=float), pd.Series([None, None]), pd.Series([np.nan])])
    def test_a_side_without_values_is_named(self, empty: pd.Series) -> None:
        with pytest.raises(ValueError, match="ref has no values"):
            compute_ks_drift(empty, pd.Series([1.0]))
        with pytest.raises(ValueError, match="prod has no values"):
            compute_ks_drift(pd.Series([1.0]), empty)

    @pytest.mark.parametrize(
        "text", [pd.Series(["01", "N"]), pd.Series(pd.to_datetime(["2020-01-01"])), pd.Series([1j, 2j])]
    )
    def test_a_side_without_numbers_is_named_with_an_example(self, text: pd.Series) -> None:
        with pytest.raises(ValueError, match=r"prod has values of type .* for example .* needs numbers"):
            compute_ks_drift(pd.Series([1.0]), text)
