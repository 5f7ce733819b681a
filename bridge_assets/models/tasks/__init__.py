"""The tasks: predicting the probability of a fall, or the expected change of a rating."""
