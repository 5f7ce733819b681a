"""Figures of a model: ranking, calibration, groups, intervals. They know arrays, and no model."""
