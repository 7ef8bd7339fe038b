"""Which software made a result."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from onnxfp._version import __version__

_PACKAGES = ("onnxfp", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "torch")


def versions() -> tuple[tuple[str, str], ...]:
    """Return name and version of the packages that results depend on, as installed."""
    found = [("onnxfp", __version__)]
    for package in _PACKAGES[1:]:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)
