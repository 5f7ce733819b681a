"""Scores of a survey year: the ranking, its reasons, and years until Poor."""
