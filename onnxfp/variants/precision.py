"""Less precise weights: noise on them, a coarse grid, or half precision throughout."""

from __future__ import annotations

import numpy as np
import onnx

from onnxfp.errors import ModelError, ParameterError
from onnxfp.variants.weights import Array, Weight, change_weights


def add_noise(model: onnx.ModelProto, scale: float, seed: int) -> onnx.ModelProto:
    """Return a copy with Gaussian noise on every weight.

    Args:
        model: The base.
        scale: Standard deviation of the noise, relative to the root mean square of each tensor; positive.
        seed: Seeds the noise.

    Raises:
        ParameterError: ``scale`` is not positive.
        ModelError: The model has no weights.
    """
    if not scale > 0:
        raise ParameterError(f"the scale of weight noise is positive; found {scale}")
    rng = np.random.default_rng(seed)

    def change(weight: Weight) -> Array:
        rms = float(np.sqrt(np.square(weight.values, dtype=np.float64).mean()))
        return weight.values + rng.normal(0.0, scale * rms, weight.values.shape).astype(np.float32)

    return change_weights(model, change)


def round_weights(model: onnx.ModelProto, bits: int, *, per_channel: bool) -> onnx.ModelProto:
    """Return a copy whose weights lie on a symmetric grid of so many bits.

    Args:
        model: The base.
        bits: Bits of a weight, 2 to 16: ``2 ** bits - 1`` levels, zero among them.
        per_channel: Whether each output channel has its own scale, or the whole tensor one.

    Raises:
        ParameterError: ``bits`` lies outside its range.
        ModelError: The model has no weights.
    """
    if not 2 <= bits <= 16:
        raise ParameterError(f"weights are rounded to 2 to 16 bits; found {bits}")
    most = 2 ** (bits - 1) - 1

    def change(weight: Weight) -> Array:
        axis = weight.channel_axis if per_channel else None
        others = tuple(a for a in range(weight.values.ndim) if a != axis)
        largest = np.abs(weight.values).max(axis=others, keepdims=True)
        step = np.where(largest > 0, largest, 1.0) / np.float32(most)
        return np.asarray(np.rint(weight.values / step) * step, np.float32)

    return change_weights(model, change)


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float16 copy, input and output included.

    Raises:
        ModelError: The converter of onnxruntime does not take the model.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    try:
        # Values that float16 cannot hold are clipped; the converter says so once for each tensor.
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted: onnx.ModelProto = convert_float_to_float16(copied, keep_io_types=False)
    except (ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"onnxruntime's float16 converter does not take the model: {error}") from error
    return converted
