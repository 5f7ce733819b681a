"""Runs a job from a shell: Dagster's home, run liveness, and a summary."""
