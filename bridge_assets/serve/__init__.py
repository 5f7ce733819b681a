"""What is served: a small ASGI app that answers from one model version, the same in every container and on a laptop.

Belongs here: requests in, probabilities out (`contracts`, `rows`), which version answers (`answering`), the app and the
process around it (`app`, `server`), and how a container starts from a bundle (`boot`). Does not belong here: how
features are scaled and probabilities computed (`models.scoring`), what a bundle is and where it goes (`deployment`).
"""
