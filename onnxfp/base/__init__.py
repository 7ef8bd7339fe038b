"""The owner's model: safe reading of ONNX files, their contract, onnxruntime sessions, the torch copy.

``onnx_file`` and ``session`` are shared with the suspects' room. Only the modules of the torch copy import torch.
"""
