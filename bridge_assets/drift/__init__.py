"""Whether a survey year still looks like the years the model learned from."""
