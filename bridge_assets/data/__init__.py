"""From survey files to features: finding files, ingesting them, computing features.

Belongs here: everything between a source file and the table that a model is trained on. Does not belong here: the
format of an NBI record (`bridge_assets.nbi`), models, Dagster.
"""
