"""Where survey files come from: a local folder, a bucket, FHWA; fetched, resumed, verified, never replaced."""
