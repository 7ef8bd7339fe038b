"""int8 copies, by onnxruntime's own quantiser."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onnxfp.errors import ModelError

Feeds = Mapping[str, NDArray[Any]]
"""Values of all graph inputs for one batch, by name."""


def quantise_dynamically(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an int8 copy whose activations are quantised while it runs.

    Raises:
        ModelError: The quantiser does not take the model, or finds nothing to quantise.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # onnxruntime's convolutions of integers take unsigned weights only.
    def quantise(source: Path, target: Path) -> None:
        prepared = onnx.load(source)
        # It transposes weights of linear layers and leaves their old shapes behind, which onnx then refuses.
        del prepared.graph.value_info[:]
        quantize_dynamic(prepared, target, weight_type=QuantType.QUInt8)

    return _quantise(model, quantise)


def quantise_statically(model: onnx.ModelProto, batches: Iterable[Feeds]) -> onnx.ModelProto:
    """Return an int8 copy in QDQ form, one scale a channel.

    Args:
        model: The base.
        batches: Inputs on which the ranges of activations are measured.

    Raises:
        ModelError: The quantiser does not take the model, or finds nothing to quantise.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[Feeds] = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else dict(batch)

    def quantise(source: Path, target: Path) -> None:
        quantize_static(source, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True)

    return _quantise(model, quantise)


def _quantise(model: onnx.ModelProto, quantise: Callable[[Path, Path], None]) -> onnx.ModelProto:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="onnxfp-") as folder, _quiet():
        source, prepared, quantised = (Path(folder) / f"{name}.onnx" for name in ("source", "prepared", "quantised"))
        try:
            source.write_bytes(model.SerializeToString())
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantise(prepared, quantised)
            result = onnx.load(quantised)
        # A large library whose errors have no common type; whatever it is, there is no such copy.
        except Exception as error:
            raise ModelError(f"onnxruntime's quantiser does not take the model: {error}") from error
    # By the operators that onnxruntime's quantiser writes.
    if not any("Integer" in n.op_type or "QuantizeLinear" in n.op_type for n in result.graph.node):
        raise ModelError("onnxruntime's quantiser finds nothing to quantise in the model")
    return result


@contextmanager
def _quiet() -> Iterator[None]:
    # The quantiser recommends on the root logger what was done already.
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
