"""The condition report: one page for the latest survey year."""
