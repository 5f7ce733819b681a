"""Telling people what happened. Nothing is sent anywhere until somebody configures where to."""
