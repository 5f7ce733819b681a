"""Shared by all targets: the deployment procedure, the bundle, tags, and checks of the required settings.

Does not belong here: a call to a provider.
"""
