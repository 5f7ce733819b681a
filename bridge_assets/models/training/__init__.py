"""Training: the training set, leakage checks, the forest, its hyperparameters and its file."""
