"""Scores of a survey year: predictions, rankings, reasons, and years until Poor."""
