"""Model versions on disk, in registries (MLflow, folders, DVC), and copied between registries."""
