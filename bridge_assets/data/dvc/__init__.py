"""Survey files and model versions in DVC, which runs as a separate process.

Belongs here: everything that depends on DVC. Does not belong here: registering model versions (`registry`).
"""
