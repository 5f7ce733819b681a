"""Quantize a random forest to float16. This module only re-exports the public names."""

from bridge_assets.errors import FeatureRangeError, ForestFileError
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.forest.quantize import (
    FLOAT16_MAX,
    QuantizationWarning,
    quantize_rf,
    round_thresholds,
    to_float16_grid,
)

__all__ = [
    "FLOAT16_MAX",
    "FeatureRangeError",
    "Float16Forest",
    "ForestFileError",
    "QuantizationWarning",
    "quantize_rf",
    "round_thresholds",
    "to_float16_grid",
]
