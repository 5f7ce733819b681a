"""From survey files to features: finding files, ingesting them, engineering features.

Belongs here: everything between a file on disk and the table a model learns from. Does not belong here: what the bytes
of an NBI record mean (`bridge_assets.nbi`), models, Dagster.
"""
