"""The gate in Dagster: recorded check evaluations, and overrides."""
