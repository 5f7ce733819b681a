"""From a training table to an exported model: split, train, evaluate, quantize, export.

Belongs here: training, evaluating and applying a model, as plain functions on tables, arrays and files. Does not belong
here: computing features (`bridge_assets.data`), registering versions (`bridge_assets.registry`), serving them
(`bridge_assets.deployment`), Dagster.
"""
