"""What `bridge-assets exporter` reads from the Dagster instance at each scrape. It writes nothing there."""
