"""Alerts. Nothing is sent until a destination is configured."""
