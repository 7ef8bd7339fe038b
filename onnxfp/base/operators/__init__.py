"""The table: one torch function for each ONNX operator, a module for each family.

Importing this package fills the table; :mod:`onnxfp.base.operators.registry` finds entries and says how to add one.
"""

from onnxfp.base.operators import (
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
