"""Straight-through gradients: what a step function gives forward, the identity backward.

An integer tensor would end the gradient. Where one flows, integers are floating-point tensors of the same values,
marked with the type that they stand for. An operator that meets one computes on the integers themselves, as it does
where no gradient flows, and takes the gradient of the same operator on floating point.

References:
    Bengio et al., arXiv:1308.3432.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]


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
        return _attach_gradient(x, y) if carries_gradient(x) else y

    return run


def as_integers(x: Tensor, values: Tensor) -> Tensor:
    """Return integers through which the gradient of ``x`` flows: floating point, marked with their type.

    Args:
        x: Floating point, carries a gradient.
        values: Integers of the same shape.
    """
    return stand_for(_attach_gradient(x, values.to(x.dtype)), values.dtype)


def stand_for(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Mark a floating-point tensor, whose values are integers, with their type, and return it."""
    x.integer_type = dtype  # type: ignore[attr-defined]
    return x


def integer_type(x: Any) -> torch.dtype | None:
    """Return the integer type that a floating-point tensor stands for, or ``None`` for any other value."""
    return getattr(x, "integer_type", None)


def integers(x: Any) -> Any:
    """Return the integers that a floating-point tensor stands for; any other value as it is."""
    dtype = integer_type(x)
    return x if dtype is None else x.detach().round().to(dtype)


def on_integers(function: Function, inputs: Sequence[Any]) -> Any:
    """Return what a function gives for integers, with the gradient that it has on floating point.

    Args:
        function: Function of an operator.
        inputs: Its inputs, of which some stand for integers.
    """
    with torch.no_grad():
        exact = function(*map(integers, inputs))
    return _joined(function(*inputs), exact)


def _joined(smooth: Any, exact: Any) -> Any:
    if isinstance(exact, (tuple, list)):
        return type(exact)(_joined(*pair) for pair in zip(smooth, exact, strict=True))
    if not isinstance(exact, Tensor) or not smooth.is_floating_point() or not carries_gradient(smooth):
        return exact
    return _attach_gradient(smooth, exact) if exact.is_floating_point() else as_integers(smooth, exact)


def _attach_gradient(x: Tensor, values: Tensor) -> Tensor:
    # The difference is exactly zero, so that the values are what they are without a gradient, to the last bit.
    return values + (x - x.detach())
