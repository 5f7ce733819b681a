"""Alerts: text for Slack, sending it, and the outbox that holds it until Slack has it.

Nothing is sent until a destination is configured.
"""
