"""`retraining` in `model_config.yaml`: when the platform trains by itself, and who decides what is served."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bridge_assets.settings.base import StrictModel


class RetrainingSettings(StrictModel):
    """When the sensor `retraining` trains a challenger, and what happens to one that is better."""

    reasons: tuple[Literal["outcomes", "drift"], ...] = Field(
        default=("outcomes", "drift"),
        description="outcomes: survey years that the last model has not seen; drift: a check of the watch fails too.",
    )
    cool_down_days: float = Field(default=30.0, ge=0, description="No training within this time after the last one.")
    promotion: Literal["approval", "automatic"] = Field(
        default="approval", description="Whether a challenger waits for a person to materialise approved_model."
    )
    rollback: Literal["manual", "automatic"] = Field(
        default="manual",
        description="Whether a promoted version that fails its canary is rolled back without a person.",
    )
    rollback_hours: float = Field(
        default=24.0, gt=0, description="Time after a promotion in which a failing canary rolls it back."
    )
