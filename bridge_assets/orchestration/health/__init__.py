"""The health of the Dagster instance: what is stuck, missed, dead or full."""
