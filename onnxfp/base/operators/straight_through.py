"""Straight-through gradients: rounding steps forward, the identity backward.

References:
    Bengio et al., arXiv:1308.3432.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def straight_through(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return ``function`` with the gradient of the identity.

    Args:
        function: A step function of one tensor, whose own gradient is zero.
    """

    def run(x: Tensor) -> Tensor:
        y = function(x.detach())
        return x + (y - x.detach()) if x.requires_grad else y

    return run
