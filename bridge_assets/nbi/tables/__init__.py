"""Tables that other programs write: canonical CSV and Parquet, InfoBridge exports."""
