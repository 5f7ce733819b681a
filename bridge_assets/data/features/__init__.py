"""Features: the inputs of a model, defined once and computed identically for training, batches and requests.

Belongs here: a feature, its source and its version. Does not belong here: the choice of features for a model
(`models.training`).
"""
