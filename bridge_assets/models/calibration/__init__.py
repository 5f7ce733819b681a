"""Calibration of probabilities by rating: fitted in training, applied by every form of the forest."""
