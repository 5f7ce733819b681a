"""Drift: whether a survey year still resembles the years on which the model was trained."""
