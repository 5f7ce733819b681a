"""The assets, one module per stage."""
