"""Where gradients are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxfp.errors import ExecutionError, ProviderError
from onnxfp.execution import Device
from onnxfp.extras import require_extra

if TYPE_CHECKING:
    import torch

    TorchDevice = torch.device


def choose_device(device: Device) -> TorchDevice:
    """Return the torch device for gradients.

    Args:
        device: ``auto`` takes CUDA where torch can use it, else the CPU; ``cuda`` demands it.

    Raises:
        MissingExtraError: torch is not installed.
        ExecutionError: torch is installed, and cannot be loaded.
        ProviderError: CUDA was demanded and torch cannot use it.
    """
    require_extra("generate")
    try:
        import torch
    except (ImportError, OSError) as error:
        raise ExecutionError(f"torch cannot be loaded: {error}", hint="install torch again") from error
    usable = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not usable:
        raise ProviderError(
            f"CUDA was demanded, but torch {torch.__version__} cannot use it here",
            hint="install a CUDA build of torch, or use --device auto",
        )
    return torch.device("cuda" if usable else "cpu")
