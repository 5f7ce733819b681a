"""What answers from a model version: the package, its probe and the predictor; also the local endpoint's folder.

Belongs here: code that must still run when the rest of the platform has changed. A bundle carries the part of it that
an endpoint needs (`deployment.core.code_archive`). Does not belong here: training, the gate, providers.
"""
