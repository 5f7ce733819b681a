"""From survey files to the records of one survey year: raw_bridges and rejected_records."""
