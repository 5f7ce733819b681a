"""Gets survey files from a local folder, a bucket or FHWA: downloads are resumed and verified, never overwritten."""
