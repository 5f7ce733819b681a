from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from support.survival_intervals import TRUE_EFFECT, TRUE_RATES, simulate_intervals

from bridge_assets.errors import FeatureError, ModelFileError, TrainingError
from bridge_assets.models.survival.fit import fit
from bridge_assets.models.survival.markov import CurrentState, TransitionRates, poor_probability_by_year
from bridge_assets.models.survival.model import DeteriorationModel, years_until_poor
from bridge_assets.settings import SurvivalSettings

SETTINGS = SurvivalSettings()


@pytest.fixture(scope="module")
def intervals() -> pl.DataFrame:
    return simulate_intervals(2500)


@pytest.fixture(scope="module")
def model(intervals: pl.DataFrame) -> DeteriorationModel:
    return fit(intervals, "digest", SETTINGS)


def truth(features: pl.DataFrame, horizon: int) -> np.ndarray:
    own = TRUE_EFFECT * features["log_trucks"].to_numpy().astype(float)
    zero = np.zeros(features.height)
    present = CurrentState(features["condition"].to_numpy().astype(int), zero, zero, zero > 0, own, own)
    five = np.zeros(5)
    drop = np.column_stack([np.eye(5), five])
    return poor_probability_by_year(
        present,
        TransitionRates(np.log(TRUE_RATES), five, 0, five, 20, five, five, drop, np.eye(5), np.zeros(1)),
        horizon,
    )


def largest_difference(model: DeteriorationModel, features: pl.DataFrame) -> float:
    """Largest error of the mean probability of Poor within 5 and 15 years, over conditions 5 to 8.

    Within 40 years, twice the span of the files and at ages that are rare in them, the error may be up to 0.1.
    """
    error = model.poor_probability_by_year(features, 40) - truth(features, 40)
    conditions = features["condition"].to_numpy()
    by_condition = np.abs([error[conditions == each].mean(axis=0) for each in (5, 6, 7, 8)])
    assert by_condition[:, 40].max() < 0.1
    return float(by_condition[:, [5, 15]].max())


def test_known_rates_are_recovered_from_uneven_intervals_censoring_and_truncation(model, intervals):
    assert largest_difference(model, intervals) < 0.04
    [(_, effect), *_] = [each for each in model.static_terms if each[0].feature == "log_trucks"]
    assert effect > 0


def test_censoring_does_not_bias_the_fit():
    censored = fit(simulate_intervals(6000, censoring_rate=0.1, seed=5), "", SETTINGS)
    assert largest_difference(censored, simulate_intervals(600, seed=6)) < 0.04


@pytest.mark.parametrize("months", [12, 24, 48])
def test_the_interval_between_inspections_does_not_bias_the_fit(months):
    found = fit(simulate_intervals(2500, seed=7, months_between=(months,)), "", SETTINGS)
    assert largest_difference(found, simulate_intervals(600, seed=8)) < 0.04


def test_a_condition_that_a_rise_led_to_does_not_raise_the_rates_after_a_fall(model, intervals):
    """Half of the ratings of 6 follow a rise and fall three times as often: half of a re-rating."""
    six = (pl.col("condition") == 6) & (pl.col("structure_key").str.slice(-1).is_in([*"02468"]))
    falls_too = six & (pl.col("survey_year") % 4 == 0)
    risen = intervals.with_columns(
        rises_so_far=pl.when(six).then(1).otherwise("rises_so_far").cast(pl.Float32),
        falls_so_far=pl.when(six).then(0).otherwise("falls_so_far").cast(pl.Float32),
        next_condition=pl.when(falls_too).then(5).otherwise("next_condition").cast(pl.Int8),
    )
    found = fit(risen, "", SETTINGS)
    assert found.after_rise_effect[1] > 0.5
    seven = intervals.filter(pl.col("condition") == 7)
    error = found.poor_probability_by_year(seven, 15) - truth(seven, 15)
    assert abs(error[:, 15].mean()) < 0.04
    six_rows = intervals.filter(pl.col("condition") == 6).with_columns(rises_so_far=0.0, falls_so_far=1.0)
    after_fall = found.poor_probability_by_year(six_rows, 10)[:, 10].mean()
    after_rise = found.poor_probability_by_year(six_rows.with_columns(rises_so_far=1.0, falls_so_far=0.0), 10)
    assert after_rise[:, 10].mean() > 1.3 * after_fall


def test_a_model_of_the_previous_format_is_read(model, tmp_path):
    path = model.save(tmp_path / "model.json")
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["after_rise_effect"]
    path.write_text(json.dumps(values | {"format": 1}), encoding="utf-8")
    assert DeteriorationModel.load(path) == replace(model, after_rise_effect=(0.0,) * 5)


def test_intervals_with_work_are_not_used(intervals):
    """Whatever the next inspection found."""
    repaired = intervals.head(2000).with_columns(work_found=pl.lit("repair"), next_condition=pl.lit(9, pl.Int8))
    others = intervals.slice(2000)
    assert fit(pl.concat([repaired, others]), "", SETTINGS) == fit(others, "", SETTINGS)


def test_the_same_input_gives_the_same_model_and_file(model, intervals, tmp_path):
    again = fit(intervals, "digest", SETTINGS)
    assert again == model
    files = [each.save(tmp_path / name).read_bytes() for name, each in (("a", model), ("b", again))]
    assert files[0] == files[1]
    assert DeteriorationModel.load(tmp_path / "a") == model


def test_too_many_intervals_are_sampled_by_structure_and_reproducibly(intervals):
    sampled = SurvivalSettings(intervals=4000)
    found = fit(intervals, "", sampled)
    assert found.intervals == pytest.approx(4000, rel=0.1)
    assert found == fit(intervals, "", sampled)


def test_too_few_falls_are_rejected(intervals):
    with pytest.raises(TrainingError, match=r"0 falls in .* intervals .* too few .*What to do: add more survey years"):
        fit(intervals.filter(pl.col("next_condition") >= pl.col("condition")), "", SETTINGS)


def test_a_poor_bridge_has_zero_years_and_probability_one(model, intervals):
    poor = intervals.head(3).with_columns(condition=pl.lit(4.0, pl.Float32))
    years = years_until_poor(model.poor_probability_by_year(poor, 60), 0.8)
    for name in ("expected_years", "low_years", "median_years", "high_years"):
        assert (years[name] == 0).all()
    assert (years["poor_within_2_years"] == 1).all()


def test_years_beyond_the_horizon_are_nan(model, intervals):
    years = years_until_poor(model.poor_probability_by_year(intervals, 12), 0.8)
    beyond = years["poor_within_horizon"] < 0.5
    assert beyond.any()
    assert np.isnan(years["median_years"][beyond]).all()
    assert np.isnan(years["expected_years"][beyond]).all()
    assert (years["expected_years"][~beyond] < 12).all()
    known = ~np.isnan(years["high_years"])
    assert (years["low_years"][known] <= years["median_years"][known]).all()
    assert (years["median_years"][known] <= years["high_years"][known]).all()


def test_half_of_the_structures_are_poor_by_the_median_and_a_tenth_by_the_lower_bound(model, intervals):
    poor = model.poor_probability_by_year(intervals.head(500), 60)
    years = years_until_poor(poor, 0.8)
    for name, share in (("low_years", 0.1), ("median_years", 0.5), ("high_years", 0.9)):
        known = np.flatnonzero(~np.isnan(years[name]))
        found = [np.interp(years[name][row], np.arange(61), poor[row]) for row in known]
        assert found == pytest.approx(np.full(len(known), share), abs=1e-4)


def test_missing_values_are_filled_and_missing_features_are_reported(model, intervals):
    features = intervals.head(5)
    gaps = features.with_columns(
        years_in_condition=pl.lit(None, pl.Float32), age_since_work=None, falls_so_far=None, log_trucks=None
    )
    assert np.isfinite(model.poor_probability_by_year(gaps, 10)).all()
    with pytest.raises(FeatureError, match="lacks 2 of the model's features: log_adt, skew"):
        model.poor_probability_by_year(features.drop("log_adt", "skew"), 10)
    with pytest.raises(FeatureError, match="5 structures have no condition"):
        model.poor_probability_by_year(features.with_columns(condition=pl.lit(None, pl.Float32)), 10)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 99}', '{"format": 1, "lasting": 3}'])
def test_any_other_file_is_rejected(tmp_path, content):
    path = tmp_path / "model.json"
    path.write_text(content)
    with pytest.raises(ModelFileError, match=r"model\.json: not a deterioration model.*What to do"):
        DeteriorationModel.load(path)
