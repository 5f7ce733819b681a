"""The gate and Dagster: what the event log says of checks, and overrides."""
