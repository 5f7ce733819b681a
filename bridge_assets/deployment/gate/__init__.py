"""The gate: the checks that a model version must pass, for exactly its bytes, before it is deployed to an endpoint."""
