"""Alerts to people. Nothing is sent until a destination is configured."""
