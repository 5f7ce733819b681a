"""A forest as an ONNX graph: the promised names. They live elsewhere; this module re-exports them."""

from bridge_assets.errors import ExportError
from bridge_assets.models.forest.onnx_export import export_to_onnx
from bridge_assets.models.forest.onnx_parity import onnx_problems

__all__ = ["ExportError", "export_to_onnx", "onnx_problems"]
