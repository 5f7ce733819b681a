"""The names of the tasks and of their prediction columns: all that an endpoint needs to know of a task."""

from __future__ import annotations

#: task -> column of its predictions.
PREDICTION_COLUMNS = {"classification": "fall_probability", "regression": "expected_change"}
