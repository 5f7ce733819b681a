"""What a model knows of a bridge: features, defined once and computed alike for records, batches and requests.

Belongs here: a feature, its source and its version. Does not belong here: which of them a model is trained on
(`models.training`).
"""
