"""Straight-through gradients: rounding steps forward, the identity backward.

References:
    Bengio et al., arXiv:1308.3432.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def carries_gradient(x: Tensor) -> bool:
    """Return whether a gradient flows through ``x``, also where ``torch.func.vmap`` has wrapped it."""
    while torch._C._functorch.is_batchedtensor(x):
        x = torch._C._functorch.get_unwrapped(x)
    return x.requires_grad


def straight_through(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return ``function`` with the gradient of the identity.

    Args:
        function: A step function of one tensor, whose own gradient is zero.
    """

    def run(x: Tensor) -> Tensor:
        y = function(x.detach())
        return x + (y - x.detach()) if carries_gradient(x) else y

    return run
