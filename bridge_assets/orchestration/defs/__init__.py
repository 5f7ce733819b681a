"""Definitions that `dg scaffold defs` writes. They are loaded with all others, as they are.

For trying something out: an asset that stays moves to `orchestration/assets`, where it gets a group, owners, kinds and
a description, and the jobs select it by its stage.
"""
