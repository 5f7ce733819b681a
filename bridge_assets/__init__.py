"""Bridge Assets: an asset platform for bridge condition, from the National Bridge Inventory to gated endpoints."""

__version__ = "0.1.0"
