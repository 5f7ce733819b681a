"""The ground: what an NBI file is. Layouts, items, codes, conditions, records, and a sample inventory.

Belongs here: facts of the Coding Guide and of the files FHWA publishes. Does not belong here: where files come from
(`bridge_assets.data`), models, Dagster.
"""
