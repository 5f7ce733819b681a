"""Features: what a model knows about a bridge, defined once and computed alike for training, batches and requests.

Belongs here: a feature, its source and its version. Does not belong here: which features a model is trained on
(`models.training`).
"""
