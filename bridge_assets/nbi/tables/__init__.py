"""Tables written by other programs: CSV and Parquet with canonical names, InfoBridge exports."""
