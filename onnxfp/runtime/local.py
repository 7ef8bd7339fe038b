"""onnxruntime itself, behind four names: which tensors go in and out, which providers run, and one call.

A model is opened either in this process or in one of its own (:mod:`onnxfp.runtime.isolated`); both answer alike.
This module runs inside the worker process too, so it imports nothing of the package but errors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from numpy.typing import NDArray

from onnxfp.execution import Device
from onnxfp.model.tensor_info import Tensor

if TYPE_CHECKING:
    import onnxruntime


Provider = Device
Optimisation = Literal["none", "basic", "extended", "all"]
"""How far onnxruntime rewrites a graph before it runs: not at all, up to its own operators, or with all it has."""

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

_RUNTIME_ERRORS = (
    *("EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel"),
    *("NoSuchFile", "NotFound", "NotImplemented", "RuntimeException"),
)


class RefusedError(Exception):
    """onnxruntime did not take the model, or did not run it; the message is its own first line."""


class NoCudaError(Exception):
    """CUDA was demanded, and onnxruntime cannot use it."""


class Runtime(Protocol):
    """One open model.

    Attributes:
        inputs: Its graph inputs.
        outputs: Its graph outputs.
        providers: The execution providers in use, in order.
        warning: Why CUDA was not used although there is a GPU, or empty.
        holds: What the model is kept from, one word each; empty in this process.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    providers: tuple[str, ...]
    warning: str
    holds: tuple[str, ...]

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Return the values of the outputs ``names``.

        Raises:
            RefusedError: The model failed while it ran.
        """
        ...


class LocalRuntime:
    """A model that is open in this process.

    Args:
        source: The file's path, or its content.
        provider: ``auto`` takes CUDA where it works, else the CPU; ``cuda`` demands it.
        optimise: Whether onnxruntime may fuse nodes.

    Raises:
        RefusedError: onnxruntime refuses the model.
        NoCudaError: CUDA was demanded and is not available.
    """

    holds: tuple[str, ...] = ()

    def __init__(self, source: str | bytes, provider: Provider, *, optimise: bool) -> None:
        self._session, self.warning = _open(source, provider, optimise=optimise)
        self.providers = tuple(self._session.get_providers())
        self.inputs = tuple(Tensor(n.name, n.type, tuple(n.shape)) for n in self._session.get_inputs())
        self.outputs = tuple(Tensor(n.name, n.type, tuple(n.shape or ())) for n in self._session.get_outputs())

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Return the values of the outputs ``names``."""
        try:
            return list(self._session.run(list(names), dict(feeds)))
        except _runtime_errors() as error:
            raise RefusedError(_first_line(error)) from error


def load_onnxruntime() -> None:
    """Import onnxruntime, which takes longer than opening a small model."""
    import onnxruntime  # noqa: F401 - for its being there


def has_gpu() -> bool:
    """Whether the NVIDIA driver is loaded: without it, opening the provider only prints errors."""
    import ctypes

    name = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False


def _open(source: str | bytes, provider: Provider, *, optimise: bool) -> tuple[onnxruntime.InferenceSession, str]:
    import onnxruntime

    options = _options("all" if optimise else "none")
    warning = ""
    if provider != "cpu" and CUDA in onnxruntime.get_available_providers() and has_gpu():
        try:
            session = onnxruntime.InferenceSession(source, options, providers=[CUDA, CPU])
            if CUDA in session.get_providers():
                return session, ""
            warning = "its libraries cannot be loaded"
        except _runtime_errors() as error:
            warning = _first_line(error)
    if provider == "cuda":
        raise NoCudaError(warning)
    return _open_on_cpu(source, options), warning


def write_optimised(model: bytes, path: Path, level: Optimisation) -> None:
    """Write a model as onnxruntime rewrites it before it runs on the CPU.

    Args:
        model: The content of an ONNX file.
        path: The file that is written.
        level: How far the graph is rewritten.

    Raises:
        RefusedError: onnxruntime refuses the model.
    """
    options = _options(level)
    options.optimized_model_filepath = str(path)
    _open_on_cpu(model, options)


def _open_on_cpu(source: str | bytes, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(source, options, providers=[CPU])
    except _runtime_errors() as error:
        raise RefusedError(f"onnxruntime {onnxruntime.__version__}: {_first_line(error)}") from error


def _options(level: Optimisation) -> onnxruntime.SessionOptions:
    """Return the options of every session: onnxruntime's own but for the log, and for how far a graph is rewritten."""
    import onnxruntime

    # Its C++ log goes straight to stderr, by the page when CUDA's libraries are missing; errors reach us anyway.
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = {
        "none": levels.ORT_DISABLE_ALL,
        "basic": levels.ORT_ENABLE_BASIC,
        "extended": levels.ORT_ENABLE_EXTENDED,
        "all": levels.ORT_ENABLE_ALL,
    }[level]
    return options


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises when it refuses a model, or fails to run one."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # RuntimeError and ValueError: inputs that do not fit the graph surface so in some versions.
    names = (getattr(state, name) for name in _RUNTIME_ERRORS if hasattr(state, name))
    return (*names, RuntimeError, ValueError, MemoryError)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
