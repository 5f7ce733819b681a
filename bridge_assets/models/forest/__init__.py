"""The float16 forest: how it is made from a random forest, laid out, walked, saved and exported to ONNX."""
