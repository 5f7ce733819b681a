"""The float16 forest: quantization of a random forest, memory layout, prediction, file format and ONNX export."""
