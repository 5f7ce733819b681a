"""Evaluation of a model and its baselines on held-out structures in later years."""
