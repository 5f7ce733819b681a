"""What travels in a bundle and answers: the package, its probe, the predictor, the folder of an endpoint.

Belongs here: what must still run when the rest of the platform has changed. Does not belong here: training, the gate,
providers.
"""
