"""Measurements of onnxfp, one module a table; the run is described in README.md beside them."""
