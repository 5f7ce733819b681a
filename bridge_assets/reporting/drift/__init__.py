"""The drift page of a survey year: both distributions of what drifted, in words for a bridge engineer."""
