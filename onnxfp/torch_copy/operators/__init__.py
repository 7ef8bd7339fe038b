"""The table: one torch function for each ONNX operator, a module for each family.

Importing this package fills the table; :mod:`onnxfp.torch_copy.operators.registry` finds entries and explains how to
add one.
"""

from onnxfp.torch_copy.operators import (
    arithmetic,
    attention,
    control_flow,
    convolution,
    indexing,
    microsoft,
    ml,
    normalisation,
    pooling,
    quantisation,
    recurrent,
    reduction,
    resampling,
    shape,
)

__all__ = [
    "arithmetic",
    "attention",
    "control_flow",
    "convolution",
    "indexing",
    "microsoft",
    "ml",
    "normalisation",
    "pooling",
    "quantisation",
    "recurrent",
    "reduction",
    "resampling",
    "shape",
]
