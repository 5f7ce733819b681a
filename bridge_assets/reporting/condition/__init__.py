"""The condition report: one page for a survey year."""
