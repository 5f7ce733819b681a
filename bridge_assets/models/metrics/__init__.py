"""Metrics: ranking, calibration, groups, intervals. They take arrays and do not know any model."""
