"""Bridge Assets: an asset platform for bridge condition, from the National Bridge Inventory to gated endpoints."""

import os

# From 1.29 on, ONNX Runtime reports sessions and digests of models to its maker, unless told so before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
