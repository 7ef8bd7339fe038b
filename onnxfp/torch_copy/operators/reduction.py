"""Reductions, arg-reductions, cumulative sums, sorting.

Specification: https://onnx.ai/onnx/operators/onnx__ReduceSum.html and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator

Reduce = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def _logsumexp(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return torch.logsumexp(x if x.is_floating_point() else x.double(), axes, keep).to(x.dtype)


def _product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    for axis in sorted((a % x.ndim for a in axes), reverse=True):
        x = x.prod(dim=axis, keepdim=keep)
    return x


def _mean(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    if x.is_floating_point():
        return x.mean(axes, keep)
    return torch.div(x.sum(axes, keep), max(1, x.numel() // max(1, x.sum(axes).numel())), rounding_mode="trunc").to(
        x.dtype
    )


def _extreme(function: Callable[..., Tensor], *, of_nothing_is_least: bool) -> Reduce:
    def reduce(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
        if x.numel() == 0:
            # The extreme of nothing is the identity of the operation.
            shape = [1 if a in {b % x.ndim for b in axes} else n for a, n in enumerate(x.shape)]
            limits = torch.iinfo(x.dtype) if not x.is_floating_point() else None
            least, most = (-torch.inf, torch.inf) if limits is None else (limits.min, limits.max)
            y = torch.full(shape, least if of_nothing_is_least else most, dtype=x.dtype, device=x.device)
            return y if keep else y.squeeze(axes)
        return function(x, axes, keep)

    return reduce


def _norm2(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return torch.sqrt((x * x).sum(axes, keep).double() if not x.is_floating_point() else (x * x).sum(axes, keep)).to(
        x.dtype
    )


def _log_sum(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return torch.log(x.sum(axes, keep))


_REDUCTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Reduce]] = {
    # operator: versions with the axes in an attribute, versions with the axes as an input, function
    "ReduceL1": ((1, 11, 13), (18,), lambda x, axes, keep: x.abs().sum(axes, keep).to(x.dtype)),
    "ReduceL2": ((1, 11, 13), (18,), _norm2),
    "ReduceLogSum": ((1, 11, 13), (18, 28), _log_sum),
    "ReduceLogSumExp": ((1, 11, 13), (18, 28), _logsumexp),
    "ReduceMax": ((1, 11, 12, 13), (18, 20), _extreme(torch.amax, of_nothing_is_least=True)),
    "ReduceMean": ((1, 11, 13), (18,), _mean),
    "ReduceMin": ((1, 11, 12, 13), (18, 20), _extreme(torch.amin, of_nothing_is_least=False)),
    "ReduceProd": ((1, 11, 13), (18,), _product),
    "ReduceSum": ((1, 11), (13,), lambda x, axes, keep: x.sum(axes, keep).to(x.dtype)),
    "ReduceSumSquare": ((1, 11, 13), (18,), lambda x, axes, keep: (x * x).sum(axes, keep).to(x.dtype)),
}


def _bind_reduction(function: Reduce) -> Callable[[Node], Function]:
    def factory(node: Node) -> Function:
        keep, noop = bool(node.int("keepdims", 1)), bool(node.int("noop_with_empty_axes", 0))
        fixed = node.ints("axes")

        def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
            chosen = tuple(axes.tolist()) if axes is not None else tuple(fixed or ())
            if not chosen:
                if noop:
                    # Nothing is reduced, but the function still applies to each value.
                    return function(x.unsqueeze(-1), (-1,), False)
                chosen = tuple(range(x.ndim))
            if x.ndim == 0:
                return function(x.reshape(1), (0,), False)
            if x.dtype == torch.bool:
                return function(x.to(torch.uint8), chosen, keep).bool()
            return function(x, chosen, keep)

        return run

    return factory


for _name, (_old, _new, _function) in _REDUCTIONS.items():
    operator(_name, since=_old + _new)(_bind_reduction(_function))


def _bind_arg(largest: bool) -> Callable[[Node], Function]:
    def factory(node: Node) -> Function:
        axis, keep = node.int("axis", 0), bool(node.int("keepdims", 1))
        last = bool(node.int("select_last_index", 0))

        def run(x: Tensor) -> Tensor:
            extreme = x.amax(axis, True) if largest else x.amin(axis, True)
            is_extreme = (x == extreme).to(torch.int32)
            # argmax on 0 and 1 returns some one; counting makes it the first, or the last.
            count = is_extreme.flip(axis).cumsum(axis) if last else is_extreme.cumsum(axis)
            first = (
                ((count == 1) & ((is_extreme.flip(axis) if last else is_extreme) == 1))
                .to(torch.int8)
                .argmax(axis, keep)
            )
            return x.shape[axis] - 1 - first if last else first

        return run

    return factory


operator("ArgMax", since=(1, 11, 12, 13))(_bind_arg(largest=True))
operator("ArgMin", since=(1, 11, 12, 13))(_bind_arg(largest=False))


def _bind_cumulative(function: Callable[[Tensor, int], Tensor], neutral: int) -> Callable[[Node], Function]:
    def factory(node: Node) -> Function:
        exclusive, backwards = bool(node.int("exclusive", 0)), bool(node.int("reverse", 0))

        def run(x: Tensor, axis: Tensor) -> Tensor:
            a = int(axis)
            y = x.flip(a) if backwards else x
            y = function(y, a).to(x.dtype)
            if exclusive:
                start = torch.full_like(y.narrow(a, 0, 1), neutral)
                y = torch.cat([start, y.narrow(a, 0, y.shape[a] - 1)], a)
            return y.flip(a) if backwards else y

        return run

    return factory


operator("CumSum", since=(11, 14))(_bind_cumulative(torch.cumsum, 0))
operator("CumProd", since=(26,))(_bind_cumulative(torch.cumprod, 1))


@operator("TopK", since=(1, 10, 11, 24))
def top_k(node: Node) -> Function:
    """The k largest or smallest values along an axis; of equal ones, the first."""
    axis, largest = node.int("axis", -1), bool(node.int("largest", 1))
    fixed = node.int("k", 0)

    def run(x: Tensor, k: Tensor | None = None) -> Any:
        n = fixed if k is None else int(k.reshape(-1)[0])
        values, indices = torch.sort(x, dim=axis, descending=largest, stable=True)
        return values.narrow(axis, 0, n), indices.narrow(axis, 0, n)

    return run
