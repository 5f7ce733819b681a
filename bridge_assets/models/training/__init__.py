"""Training: the training set, leakage checks, the forest, its settings and its file."""
