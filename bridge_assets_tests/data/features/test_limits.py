"""The values that a feature can have."""

from __future__ import annotations

import pytest

from bridge_assets.data.features.definitions import FEATURES
from bridge_assets.data.features.limits import _LIMITS, CODE, RATING, SHARE, YES_NO, feature_limits

NAMES = tuple(feature.name for feature in FEATURES)


def test_every_feature_has_a_limit_of_its_unit_and_names_its_items():
    assert tuple(_LIMITS) == NAMES
    limits = feature_limits(NAMES)
    assert limits is not None
    of_unit = {"rating 0-9": RATING, "code 0-9": CODE, "0/1": YES_NO, "share": SHARE}
    for feature, limit in zip(FEATURES, limits, strict=True):
        assert limit.items == feature.source.partition(";")[0].strip()
        assert limit.limit is of_unit.get(feature.unit, limit.limit)
        assert (limit.limit in (RATING, CODE, YES_NO, SHARE)) == (feature.unit in of_unit)


@pytest.mark.parametrize(
    ("feature", "value", "message"),
    [
        ("condition", 12, "condition 12: a rating is 0 to 9 (NBI items 58-60, 62)"),
        ("deck", -1, "deck -1: a rating is 0 to 9 (NBI item 58)"),
        ("on_nhs", 2, "on_nhs 2: it is 1 for yes and 0 for no (NBI item 104)"),
        (
            "falls_so_far",
            500,
            "falls_so_far 500: it is a number of changes, 0 to 400 (from earlier files)",
        ),
    ],
)
def test_a_message_names_the_item_and_its_values(feature, value, message):
    limits = feature_limits((feature,))
    assert limits is not None
    assert limits[0].message(feature, value) == message


def test_a_model_of_other_features_has_no_limits():
    assert feature_limits(("condition", "colour")) is None
    assert feature_limits(()) is None
