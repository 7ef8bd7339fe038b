"""Reading an ONNX file and understanding it, as something that a stranger wrote: no onnxruntime, no torch."""
