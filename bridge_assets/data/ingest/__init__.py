"""Ingests the survey files of one survey year into raw_bridges and rejected_records."""
