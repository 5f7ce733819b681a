"""Removes old runs from Dagster's storage, and never what the gate needs."""
