"""The limits that a check was judged with, against those of the configuration at deployment.

A limit that was loosened for one run would be an override that nobody gave a reason for. So each check records its
limits, and the gate names those that are looser than the configuration of the process that deploys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge_assets.settings import GateSettings

#: Check -> the settings (`gate` in model_config.yaml) that it is judged with.
LIMITS_OF_CHECK = {
    "beats_baselines": (
        "holdout_inspections",
        "holdout_falls",
        "auc_gain",
        "brier_gain",
        "rmse_gain",
        "spearman_gain",
        "part_falls",
        "part_auc_gain",
        "part_capture_gain",
    ),
    "is_calibrated": ("calibration_error", "calibration_ratio", "calibration_falls"),
    "quantization_parity": ("quantization_auc_loss", "quantization_difference"),
    "onnx_parity": ("onnx_difference",),
    "not_worse_than_champion": (
        "holdout_inspections",
        "holdout_falls",
        "champion_auc_loss",
        "champion_brier_loss",
        "champion_rmse_loss",
        "champion_spearman_loss",
        "champion_not_comparable",
    ),
}

#: A smaller value of these is looser; of all other numbers, a larger one.
_MINIMA = (
    "holdout_inspections",
    "holdout_falls",
    "auc_gain",
    "brier_gain",
    "rmse_gain",
    "spearman_gain",
    "part_auc_gain",
    "part_capture_gain",
)

#: From strict to loose.
_NOT_COMPARABLE = ("refuse", "recorded", "accept")

Limit = float | str


def limits_of(check: str, settings: GateSettings) -> dict[str, Limit]:
    """The limits of a check: setting -> value; empty for a check that has none."""
    return {name: getattr(settings, name) for name in LIMITS_OF_CHECK.get(check, ())}


def looser_limits(recorded: Mapping[str, object], configured: Mapping[str, Limit]) -> list[str]:
    """Which recorded limits are looser than the configured ones.

    Parameters
    ----------
    recorded : mapping
        Setting -> value, as the check recorded them.
    configured : mapping
        Setting -> value, from `limits_of`.

    Returns
    -------
    list of str
        One description for each; a limit that was not recorded, or is not a limit, counts as looser.
    """
    return [
        f"{name} {recorded.get(name, 'not recorded')} (the configuration says {value})"
        for name, value in configured.items()
        if not _is_as_strict(name, recorded.get(name), value)
    ]


def _is_as_strict(name: str, recorded: object, configured: Limit) -> bool:
    if isinstance(configured, str):
        return recorded in _NOT_COMPARABLE[: _NOT_COMPARABLE.index(configured) + 1]
    if isinstance(recorded, bool) or not isinstance(recorded, int | float):
        return False
    # Written so that a limit that is not a number is never strict enough.
    return recorded >= configured if name in _MINIMA else recorded <= configured
