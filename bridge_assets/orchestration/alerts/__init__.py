"""What is worth an alert: read from Dagster's event log, said in a message, and sent by the sensor `alerts`."""
