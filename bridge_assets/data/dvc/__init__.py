"""Survey files and model versions in DVC, which runs as a process of its own.

Belongs here: everything that knows DVC. Does not belong here: where versions are registered (`registry`).
"""
