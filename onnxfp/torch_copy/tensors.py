"""ONNX element types and tensors as torch's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from onnxfp.errors import ConversionError

if TYPE_CHECKING:
    import onnx

# Keyed by onnx.TensorProto.DataType. torch computes little in the wide unsigned types, so those take the next signed.
DTYPES: dict[int, torch.dtype] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    4: torch.int32,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    12: torch.int64,
    13: torch.int64,
    16: torch.bfloat16,
}


def torch_dtype(element_type: int) -> torch.dtype:
    """Return the torch type for an ONNX element type.

    Raises:
        ConversionError: torch has no such type.
    """
    if element_type not in DTYPES:
        import onnx

        name = onnx.TensorProto.DataType.Name(element_type)
        raise ConversionError(f"tensors of type {name} have no torch counterpart")
    return DTYPES[element_type]


def to_tensor(array: NDArray[Any]) -> torch.Tensor:
    """Return a numpy array (of the types that ONNX has) as a torch tensor of its own memory."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    wider = {"uint16": np.int32, "uint32": np.int64, "uint64": np.int64}.get(array.dtype.name)
    return torch.from_numpy(np.array(array, dtype=wider, order="C"))


def initializer_tensor(proto: onnx.TensorProto) -> torch.Tensor:
    """Return a tensor stored in the model.

    Raises:
        ConversionError: Its type has no torch counterpart, or its data are damaged.
    """
    from onnx import numpy_helper

    torch_dtype(proto.data_type)
    try:
        return to_tensor(numpy_helper.to_array(proto))
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConversionError(f"the stored tensor {proto.name!r} cannot be read: {error}") from error
