"""Drift: distances, learned thresholds, the table of a survey year and its plot."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import ks_2samp

from bridge_assets.drift.detection import compute_ks_drift, drift_plot_png, drift_table, learn_thresholds
from bridge_assets.settings import DriftSettings

SETTINGS = DriftSettings(margin=1.5, least=0.05)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ages(seed: int, shift: float = 0.0, rows: int = 2000) -> pl.DataFrame:
    return pl.DataFrame({"age": rng(seed).gamma(4, 10, rows).round() + shift})


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


class TestLearnThresholds:
    def test_is_the_largest_distance_of_a_year_from_the_others_times_the_margin(self) -> None:
        years = {2010: ages(1), 2011: ages(2), 2012: ages(3, shift=8), 2013: ages(4)}
        expected = max(
            compute_ks_drift(
                years[year]["age"].to_pandas(),
                pl.concat(years[other] for other in years if other != year)["age"].to_pandas(),
            )[0]
            for year in years
        )
        assert learn_thresholds(years, ["age"], SETTINGS) == {"age": pytest.approx(1.5 * expected)}

    def test_years_that_hardly_differ_give_the_minimum_threshold(self) -> None:
        years = {year: ages(year) for year in (2010, 2011, 2012)}
        assert learn_thresholds(years, ["age"], SETTINGS) == {"age": 0.05}

    @pytest.mark.parametrize("years", [{}, {2010: ages(1)}, {2010: ages(1), 2011: pl.DataFrame({"age": [None, None]})}])
    def test_fewer_than_two_years_with_values_give_the_minimum_threshold(self, years: dict[int, pl.DataFrame]) -> None:
        assert learn_thresholds(years, ["age"], SETTINGS) == {"age": 0.05}

    def test_the_order_of_the_years_does_not_matter(self) -> None:
        years = {2010: ages(1), 2011: ages(2, shift=5), 2012: ages(3)}
        backwards = dict(reversed(years.items()))
        assert learn_thresholds(years, ["age"], SETTINGS) == learn_thresholds(backwards, ["age"], SETTINGS)

    def test_a_year_without_the_column_is_named(self) -> None:
        with pytest.raises(ValueError, match="no column 'age' in training year 2011"):
            learn_thresholds({2010: ages(1), 2011: pl.DataFrame({"adt": [1]})}, ["age"], SETTINGS)


class TestDriftTable:
    def test_a_year_like_the_training_years_is_steady_and_a_shifted_one_is_not(self) -> None:
        reference = {year: ages(year) for year in range(2010, 2016)}
        thresholds = learn_thresholds(reference, ["age"], SETTINGS)
        pooled = pl.concat(reference.values())
        steady = drift_table(pooled, ages(99), ["age"], thresholds).row(0, named=True)
        moved = drift_table(pooled, ages(99, shift=10), ["age"], thresholds).row(0, named=True)
        assert not steady["drifted"] and moved["drifted"]
        assert moved["statistic"] > moved["threshold"] == 0.05
        assert moved["year_mean"] - moved["reference_mean"] == pytest.approx(10, abs=1.5)
        assert moved["wasserstein"] == pytest.approx(10, abs=1.5)
        assert moved["psi"] > 0.1 > steady["psi"]
        assert moved["p_value"] < 1e-6

    def test_has_one_row_per_feature_in_the_given_order(self) -> None:
        table = pl.DataFrame({"b": [1, 2], "a": [True, False], "c": [0.5, None]})
        found = drift_table(table, table, ["b", "c", "a"], dict.fromkeys("abc", 0.05))
        assert found["feature"].to_list() == ["b", "c", "a"]
        assert found.columns == [
            "feature",
            "statistic",
            "p_value",
            "threshold",
            "drifted",
            "wasserstein",
            "psi",
            "reference_mean",
            "year_mean",
            "reference_missing",
            "year_missing",
        ]
        assert found["statistic"].to_list() == [0.0, 0.0, 0.0]
        assert found["reference_missing"].to_list() == [0.0, 0.5, 0.0]
        assert not found["drifted"].any()

    def test_without_values_on_one_side_the_missing_share_decides(self) -> None:
        values, none = pl.DataFrame({"x": [1.0, 2.0]}), pl.DataFrame({"x": [None, float("nan")]})
        for reference, year in ((values, none), (none, values)):
            row = drift_table(reference, year, ["x"], {"x": 0.05}).row(0, named=True)
            assert row["statistic"] is None and row["p_value"] is None and row["drifted"]
        nothing = drift_table(none, none, ["x"], {"x": 0.05}).row(0, named=True)
        assert nothing["statistic"] is None and not nothing["drifted"]
        assert (nothing["reference_missing"], nothing["year_missing"]) == (1.0, 1.0)

    def test_a_rising_share_of_missing_values_is_drift_and_a_falling_one_is_not(self) -> None:
        few = pl.DataFrame({"x": [1.0] * 98 + [None] * 2})
        more = pl.DataFrame({"x": [1.0] * 92 + [None] * 8})
        assert drift_table(few, more, ["x"], {"x": 0.05})["drifted"].item()
        assert not drift_table(more, few, ["x"], {"x": 0.05})["drifted"].item()

    def test_constant_columns(self) -> None:
        ones, twos = pl.DataFrame({"x": [1] * 50}), pl.DataFrame({"x": [2] * 40})
        same = drift_table(ones, ones, ["x"], {"x": 0.05}).row(0, named=True)
        other = drift_table(ones, twos, ["x"], {"x": 0.05}).row(0, named=True)
        assert (same["statistic"], same["drifted"]) == (0.0, False)
        assert (other["statistic"], other["drifted"]) == (1.0, True)

    def test_tables_that_cannot_be_compared_are_errors(self) -> None:
        table = pl.DataFrame({"x": [1.0], "text": ["01"]})
        with pytest.raises(ValueError, match="no threshold for x"):
            drift_table(table, table, ["x"], {})
        with pytest.raises(ValueError, match="no rows in the survey year"):
            drift_table(table, table.clear(), ["x"], {"x": 0.05})
        with pytest.raises(ValueError, match="column 'text' in the training years is String"):
            drift_table(table, table, ["text"], {"text": 0.05})

    def test_thirty_features_of_a_hundred_thousand_rows_take_a_few_seconds(self) -> None:
        columns = [f"f{i}" for i in range(30)]
        reference = pl.DataFrame(rng().normal(size=(100_000, 30)).round(2), schema=columns)
        start = time.perf_counter()
        drift_table(reference, reference.head(6000), columns, dict.fromkeys(columns, 0.05))
        assert time.perf_counter() - start < 5  # about 0.6 s on a quiet machine


class TestDriftPlot:
    def test_is_a_png_of_the_same_bytes_each_time(self) -> None:
        reference = pl.DataFrame({"x": [1.0, 2.0, 3.0], "empty": [1.0, 2.0, 3.0], "gaps": [1.0, 1.0, 1.0]})
        year = pl.DataFrame({"x": [7.0, 8.0], "empty": [None, None], "gaps": [1.0, None]})
        table = drift_table(reference, year, ["x", "empty", "gaps"], {"x": 0.05, "empty": 0.05, "gaps": 3.0})
        image = drift_plot_png(table, 2025)
        assert image.startswith(b"\x89PNG") and image == drift_plot_png(table, 2025)

    def test_a_table_without_features_still_has_a_plot(self) -> None:
        table = drift_table(ages(1), ages(2), [], {})
        assert table.height == 0 and drift_plot_png(table, 2025).startswith(b"\x89PNG")


def test_real_panel_years_differ_little_from_each_other(real_data) -> None:
    """The same structures a year later: length and skew are steady, and a wrong unit of the traffic is detected."""
    from bridge_assets.data.ingest.pandas_api import load_bridge_data

    items = ["STRUCTURE_LEN_MT_049", "ADT_029", "DEGREES_SKEW_034"]
    years = {
        year: pl.from_pandas(load_bridge_data(str(real_data / "nbi" / "panel" / f"NBI_{year}.txt"))[items])
        for year in range(2015, 2020)
    }
    reference = {year: years[year] for year in range(2015, 2019)}
    thresholds = learn_thresholds(reference, items, SETTINGS)
    pooled = pl.concat(reference.values())
    assert not drift_table(pooled, years[2019], items, thresholds)["drifted"].any()
    in_thousands = years[2019].with_columns(pl.col("ADT_029") / 1000)
    assert drift_table(pooled, in_thousands, items, thresholds)["drifted"].to_list() == [False, True, False]
