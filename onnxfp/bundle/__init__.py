"""The frozen fingerprint, its signed ``.npz`` file, and the keys.

A bundle comes from a stranger: :mod:`onnxfp.bundle.reader` is the only code that opens one.
"""
