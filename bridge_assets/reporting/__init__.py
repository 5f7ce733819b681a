"""Reports for people: the condition report, the data quality page, and the table for Looker."""
