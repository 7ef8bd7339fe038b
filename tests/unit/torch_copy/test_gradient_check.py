"""The copy's gradient against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxfp import Execution
from onnxfp.model.onnx_file import read_onnx
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import build_torch_copy
from onnxfp.torch_copy.gradient_check import measure_gradient
from tests.builders import take_bytes


@pytest.mark.parametrize(("most", "is_measured"), [(255, True), (16, False)])
def test_bytes_are_moved_by_whole_steps(
    tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto], most: int, is_measured: bool
) -> None:
    path = tmp_path / "bytes.onnx"
    path.write_bytes(take_bytes(make_classifier()).SerializeToString())
    session = ModelSession(read_onnx(path), execution=Execution("cpu", limits=None), optimise=False)
    copy = build_torch_copy(session.model.load_proto())
    inputs = np.random.default_rng(0).integers(0, most + 1, (8, 3, 8, 8)).astype(np.float32)
    error = measure_gradient(copy, session, inputs)
    assert (error is not None and error < 0.2) if is_measured else error is None


def test_reals_are_moved_by_small_ones(base_path: Path) -> None:
    session = ModelSession(read_onnx(base_path), execution=Execution("cpu", limits=None), optimise=False)
    copy = build_torch_copy(session.model.load_proto())
    error = measure_gradient(copy, session, np.random.default_rng(0).random((8, 3, 8, 8), np.float32))
    assert error is not None
    assert error < 0.05
