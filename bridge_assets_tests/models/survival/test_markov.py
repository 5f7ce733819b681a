from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_assets.models.survival.markov import (
    MAX_DURATION_YEARS,
    NOT_POOR_CONDITIONS,
    CurrentState,
    TransitionRates,
    poor_probability_by_year,
    quantile_years,
    restricted_mean,
)

STEPS_OF_ONE = np.column_stack([np.eye(5), np.zeros(5)])


def constant(yearly: np.ndarray | list[float]) -> TransitionRates:
    """Falls of one point with rates by condition that never change, and no improvements."""
    return TransitionRates(
        log_rate=np.log(yearly),
        duration_slope=np.zeros(5),
        duration_slope_change=0.0,
        unobserved_onset_effect=np.zeros(5),
        max_duration_years=MAX_DURATION_YEARS,
        after_fall_effect=np.zeros(5),
        improvement_rate=np.zeros(5),
        fall_transition_shares=STEPS_OF_ONE,
        improvement_transition_shares=np.eye(5),
        age_effect=np.zeros(2),
    )


def current_state(condition: list[int], **others) -> CurrentState:
    size = len(condition)
    values = {
        "years_in_condition": 0.0,
        "age": 30.0,
        "onset_observed": True,
        "current_log_rate_effect": 0.0,
        "later_log_rate_effect": 0.0,
    } | others
    arrays = {name: np.full(size, value) for name, value in values.items()}
    return CurrentState(condition=np.array(condition, dtype=np.int64), **arrays)


def test_from_five_one_fall_leads_to_poor():
    found = poor_probability_by_year(current_state([5]), constant([0.08] * 5), 60)
    assert found[0] == pytest.approx(1 - np.exp(-0.08 * np.arange(61)), abs=1e-6)


def test_from_higher_conditions_it_matches_simulated_lifetimes():
    yearly = np.array([0.06, 0.08, 0.1, 0.2, 0.4])
    random = np.random.default_rng(0)
    found = poor_probability_by_year(current_state([6, 7, 9]), constant(yearly), 60)
    for row, condition in enumerate((6, 7, 9)):
        falls = random.exponential(1 / yearly[: condition - 4], size=(200_000, condition - 4)).sum(axis=1)
        simulated = (falls[:, None] <= np.arange(61)).mean(axis=0)
        # Time advances in whole years; the error is below a hundredth everywhere.
        assert found[row] == pytest.approx(simulated, abs=0.01)


def test_improvements_and_falls_by_several_points_match_simulated_lifetimes():
    rates = replace(
        constant([0.05, 0.08, 0.1, 0.2, 0.4]),
        improvement_rate=np.array([0.1, 0.05, 0.02, 0, 0]),
        improvement_transition_shares=np.column_stack([np.zeros((5, 1)), np.vstack([np.eye(4), [0, 0, 0, 1]])]),
        fall_transition_shares=np.array(
            [
                [1, 0, 0, 0, 0, 0],
                [0.2, 0.8, 0, 0, 0, 0],
                [0.1, 0.2, 0.7, 0, 0, 0],
                [0, 0, 0, 1, 0, 0],
                [0, 0, 0, 0, 1, 0],
            ]
        ),
    )
    random, structures, step = np.random.default_rng(1), 40_000, 0.05
    state = np.full(structures, 2)
    simulated = [0.0]
    for _ in range(20):
        for _ in range(round(1 / step)):
            at_risk = state >= 0
            move = random.random(structures)
            fall, rise = np.exp(rates.log_rate[state]) * step, rates.improvement_rate[state] * step
            falls, rises = at_risk & (move < fall), at_risk & (move >= fall) & (move < fall + rise)
            to = (random.random(structures)[:, None] > rates.fall_transition_shares[state].cumsum(axis=1)).sum(
                axis=1
            ) - 1
            state = np.where(falls, to, np.where(rises, np.minimum(state + 1, 4), state))
        simulated.append((state < 0).mean())
    found = poor_probability_by_year(current_state([7]), rates, 20)[0]
    assert found == pytest.approx(np.array(simulated), abs=0.015)


def test_rates_that_grow_with_time_in_condition_start_from_the_years_already_spent_in_it():
    rates = replace(constant([0.05] * 5), duration_slope=np.full(5, 1.0))
    years = np.arange(0, 15) + 4.5  # the middle of each year to come
    expected = 1 - np.exp(-np.concatenate([[0], np.cumsum(0.05 * years / 6)]))
    assert poor_probability_by_year(current_state([5], years_in_condition=4.0), rates, 15)[0] == pytest.approx(
        expected, abs=1e-6
    )


def test_the_unobserved_onset_effect_replaces_the_duration_effect():
    rates = replace(constant([0.05] * 5), duration_slope=np.full(5, 1.0), unobserved_onset_effect=np.full(5, np.log(2)))
    found = poor_probability_by_year(current_state([5], onset_observed=False), rates, 10)[0]
    assert found == pytest.approx(1 - np.exp(-0.1 * np.arange(11)), abs=1e-6)


def test_the_age_effect_advances_each_year_and_stops_at_the_last_age():
    rates = replace(constant([0.05] * 5), age_effect=np.log([1.0, 2.0, 3.0]))
    found = poor_probability_by_year(current_state([5], age=0.0), rates, 4)[0]
    assert found == pytest.approx(1 - np.exp(-0.05 * np.array([0, 1, 3, 6, 9])), abs=1e-6)


RATE = st.floats(0.005, 0.5)
LOG = st.floats(-1.5, 1.5)


@given(st.lists(RATE, min_size=5, max_size=5), LOG, LOG, LOG, st.floats(0, 15), st.booleans())
@settings(max_examples=60, deadline=None)
def test_more_time_never_lowers_the_probability_of_poor(yearly, slope, now, later, years, seen):
    rates = replace(
        constant(yearly), duration_slope=np.full(5, slope), improvement_rate=np.array([0.05, 0.02, 0.01, 0, 0])
    )
    found = poor_probability_by_year(
        current_state(
            list(NOT_POOR_CONDITIONS),
            years_in_condition=years,
            onset_observed=seen,
            current_log_rate_effect=now,
            later_log_rate_effect=later,
        ),
        rates,
        40,
    )
    assert (np.diff(found, axis=1) >= 0).all()
    assert (found >= 0).all()
    assert (found <= 1).all()


@given(st.lists(RATE, min_size=5, max_size=5), LOG)
@settings(max_examples=60, deadline=None)
def test_a_worse_condition_has_fewer_expected_years(yearly, own):
    found = poor_probability_by_year(
        current_state(list(NOT_POOR_CONDITIONS), current_log_rate_effect=own, later_log_rate_effect=own),
        constant(yearly),
        60,
    )
    assert (np.diff(restricted_mean(found)) > -1e-6).all()
    assert (np.diff(found[:, 1:], axis=0) <= 1e-6).all()


@given(st.lists(RATE, min_size=5, max_size=5), st.floats(-1, 1), st.floats(0.02, 1))
@settings(max_examples=40, deadline=None)
def test_a_higher_rate_means_poor_sooner(yearly, own, more):
    slow, fast = (
        poor_probability_by_year(
            current_state(list(NOT_POOR_CONDITIONS), current_log_rate_effect=each, later_log_rate_effect=each),
            constant(yearly),
            60,
        )
        for each in (own, own + more)
    )
    assert (fast >= slow - 1e-6).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(0.01, 0.99))
def test_the_year_in_which_a_share_is_reached(steps, share):
    curve = np.minimum(1, np.cumsum(np.array(steps) / 10))
    poor = np.concatenate([[0.0], curve])[None, :].astype(np.float32)
    [years] = quantile_years(poor, share)
    if poor[0, -1] < share:
        assert np.isnan(years)
    else:
        assert np.interp(years, np.arange(poor.shape[1]), poor[0]) == pytest.approx(share, abs=1e-5)


def test_rows_do_not_depend_on_each_other():
    rates = constant([0.05, 0.08, 0.1, 0.2, 0.4])
    one, many = (
        poor_probability_by_year(current_state([7]), rates, 30),
        poor_probability_by_year(current_state([9, 7, 5] * 9000), rates, 30),
    )
    assert (many[1::3] == one[0]).all()
