"""Metrics: what each step and asset of the pipeline took and made, and what Prometheus scrapes."""
