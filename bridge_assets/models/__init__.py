"""From a training table to a registered model version: train, evaluate, shrink, export, predict, register.

Belongs here: everything that makes, judges or applies a model, as plain functions on tables, arrays and files. Does not
belong here: how features are made (`bridge_assets.data`), where a version is served (`bridge_assets.deployment`),
Dagster.
"""
