"""The NBI file format: layouts, items, codes, condition, records, and a generated sample inventory.

Belongs here: facts from the Coding Guide and about the files FHWA publishes. Does not belong here: where files come
from (`bridge_assets.data`), models, Dagster.
"""
