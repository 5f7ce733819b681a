"""What every target shares: the deployment procedure, the bundle, tags, and what must be configured.

Does not belong here: a call to a provider.
"""
