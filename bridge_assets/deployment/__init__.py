"""Deploying a model version: the gate it must pass, and the endpoints that serve it.

Belongs here: whether a version may be deployed (`gate`), what is sent to an endpoint and how it is tested (`core`), and
one folder per cloud with its specifics; `local` is the endpoint on this machine. Does not belong here: how a version is
trained (`models`), the code that serves requests (`runtime`, `serve`), and reading recorded check evaluations
(`orchestration`).
"""
