"""The gradient-capable torch twin of an ONNX model."""
