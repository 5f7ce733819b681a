"""The gate: which checks a model version must have passed, about exactly its bytes, before an endpoint takes it."""
