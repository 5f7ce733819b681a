"""Deploying a model version: the gate it must pass, and the endpoints that serve it.

Belongs here: whether a version may be deployed (`gate`), what every endpoint gets and how it is tested (`core`), and a
folder for each cloud with what differs there; `local` is the endpoint on this machine. Does not belong here: how a
version is trained (`models`), what answers a request (`runtime`, `serve`), and where recorded check evaluations are
read (`orchestration`).
"""
