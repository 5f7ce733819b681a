"""A model held against held-out structures in later years, beside its baselines."""
