"""Modified copies of a base model: what a thief would make of it, and what a third party's service does to queries.

One module a family. What needs no training works on the ONNX graph and needs no torch.
"""
