"""Where gradients are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxfp.errors import ExecutionError, ProviderError
from onnxfp.execution import Device

if TYPE_CHECKING:
    import torch


def choose_device(device: Device) -> torch.device:
    """Return the torch device for gradients.

    Args:
        device: ``auto`` takes CUDA where torch can use it, else the CPU; ``cuda`` demands it.

    Raises:
        ExecutionError: torch is not installed.
        ProviderError: CUDA was demanded and torch cannot use it.
    """
    try:
        import torch
    except ImportError as error:
        raise ExecutionError(
            "making a fingerprint needs torch, which is not installed (verifying one does not)",
            hint="pip install torch",
        ) from error
    usable = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not usable:
        raise ProviderError(
            f"CUDA was demanded, but torch {torch.__version__} cannot use it here",
            hint="install a CUDA build of torch, or use --device auto",
        )
    return torch.device("cuda" if usable else "cpu")
