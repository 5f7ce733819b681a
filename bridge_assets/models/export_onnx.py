"""Export a forest to ONNX. This module only re-exports the public names."""

from bridge_assets.errors import ExportError
from bridge_assets.models.forest.onnx_export import export_to_onnx
from bridge_assets.models.forest.onnx_parity import onnx_problems

__all__ = ["ExportError", "export_to_onnx", "onnx_problems"]
