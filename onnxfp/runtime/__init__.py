"""Running a model in onnxruntime, in this process or confined in one of its own."""
