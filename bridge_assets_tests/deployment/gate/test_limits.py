"""Which limits of a check are looser than today's."""

from __future__ import annotations

import math

import pytest

from bridge_assets.deployment.gate.decision import REQUIRED_CHECKS
from bridge_assets.deployment.gate.limits import LIMITS_OF_CHECK, limits_of, looser_limits
from bridge_assets.settings import GateSettings


def test_every_limit_belongs_to_a_required_check_and_every_limit_is_recorded():
    assert set(LIMITS_OF_CHECK) < {each.check for each in REQUIRED_CHECKS}
    recorded = {name for names in LIMITS_OF_CHECK.values() for name in names}
    assert recorded == set(GateSettings.model_fields)


@pytest.mark.parametrize("name", [name for name in GateSettings.model_fields if name != "champion_not_comparable"])
def test_a_number_is_looser_in_the_direction_that_lets_more_through(name):
    """The descriptions say Minimum or Maximum."""
    description = (GateSettings.model_fields[name].description or "").lower()
    is_minimum = "minimum" in description
    assert is_minimum or "maximum" in description
    assert looser_limits({name: 10}, {name: 10}) == []
    assert looser_limits({name: 11}, {name: 10}) == ([] if is_minimum else [f"{name} 11 (the configuration says 10)"])
    assert looser_limits({name: 9}, {name: 10}) == ([f"{name} 9 (the configuration says 10)"] if is_minimum else [])


@pytest.mark.parametrize(
    ("recorded", "configured", "looser"),
    [
        ("refuse", "refuse", False),
        ("recorded", "refuse", True),
        ("accept", "refuse", True),
        ("refuse", "recorded", False),
        ("accept", "recorded", True),
        ("refuse", "accept", False),
        ("anything", "accept", True),
        (None, "accept", True),
    ],
)
def test_how_a_champion_that_cannot_be_compared_is_treated(recorded, configured, looser):
    found = looser_limits({"champion_not_comparable": recorded}, {"champion_not_comparable": configured})
    assert bool(found) is looser


@pytest.mark.parametrize("value", [math.nan, "0.5", None, True, [], {}])
def test_what_is_not_a_number_counts_as_looser(value):
    for name in ("auc_gain", "onnx_difference"):
        assert looser_limits({name: value}, {name: 0.5})
    assert looser_limits({}, {"auc_gain": 0.5}) == ["auc_gain not recorded (the configuration says 0.5)"]


def test_the_limits_are_those_of_the_settings():
    assert limits_of("is_calibrated", GateSettings(calibration_error=0.5)) == {
        "calibration_error": 0.5,
        "calibration_ratio": 1.15,
        "calibration_falls": 100,
    }
    assert limits_of("no_leakage", GateSettings()) == {}
