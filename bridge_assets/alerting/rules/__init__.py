"""The rules of Prometheus by subject; `prometheus_alerts` puts them together."""
