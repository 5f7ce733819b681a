"""Serve predictions from a model version: the package, its probe and the predictor; also the local endpoint's folder.

Belongs here: code that must still run after the rest of the platform has changed. A bundle contains the part that an
endpoint needs (`deployment.core.code_archive`). Does not belong here: training, the gate, providers.
"""
