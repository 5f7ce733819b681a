"""Metrics of the pipeline: what each step and asset took and made. Nothing is sent anywhere."""
