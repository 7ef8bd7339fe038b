"""Operators that pick and place values by index.

Specification: https://onnx.ai/onnx/operators/onnx__Gather.html and its neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator
from onnxfp.torch_copy.operators.shape import numbers


@operator("Gather", since=(1, 11, 13))
def gather(node: Node) -> Function:
    """Entries along an axis; negative indices count from the end."""
    axis = node.int("axis", 0)

    def run(x: Tensor, indices: Tensor) -> Tensor:
        n = x.shape[axis]
        index = indices.to(x.device).long()
        index = torch.where(index < 0, index + n, index)
        picked = x.index_select(axis, index.reshape(-1))
        a = axis % x.ndim
        return picked.reshape(x.shape[:a] + index.shape + x.shape[a + 1 :])

    return run


@operator("GatherElements", since=(11, 13))
def gather_elements(node: Node) -> Function:
    """One entry for each index, along an axis."""
    axis = node.int("axis", 0)

    def run(x: Tensor, indices: Tensor) -> Tensor:
        index = indices.to(x.device).long()
        return x.gather(axis, torch.where(index < 0, index + x.shape[axis], index))

    return run


@operator("GatherND", since=(11, 12, 13))
def gather_nd(node: Node) -> Function:
    """Slices that the last axis of the indices addresses, for each entry of the leading batch axes."""
    batch = node.int("batch_dims", 0)

    def run(x: Tensor, indices: Tensor) -> Tensor:
        index = indices.to(x.device).long()
        depth = index.shape[-1]
        lead = x.shape[:batch]
        flat_x = x.reshape(-1, *x.shape[batch:])
        flat_index = index.reshape(flat_x.shape[0], -1, depth)
        rows = torch.arange(flat_x.shape[0], device=x.device)[:, None].expand(flat_index.shape[:2])
        parts = [flat_index[..., a] for a in range(depth)]
        parts = [torch.where(p < 0, p + x.shape[batch + a], p) for a, p in enumerate(parts)]
        return flat_x[(rows, *parts)].reshape(lead + index.shape[batch:-1] + x.shape[batch + depth :])

    return run


_SCATTER = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _scatter_elements(node: Node) -> Function:
    axis, how = node.int("axis", 0), node.text("reduction", "none")

    def run(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        index = indices.to(x.device).long()
        index = torch.where(index < 0, index + x.shape[axis], index)
        if how == "none":
            return x.scatter(axis, index, updates)
        return x.scatter_reduce(axis, index, updates, _SCATTER[how], include_self=True)

    return run


operator("Scatter", since=(9, 11))(_scatter_elements)
operator("ScatterElements", since=(11, 13, 16, 18))(_scatter_elements)


@operator("ScatterND", since=(11, 13, 16, 18))
def scatter_nd(node: Node) -> Function:
    """Slices, addressed by the last axis of the indices, replaced by or combined with updates."""
    how = node.text("reduction", "none")

    def run(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        index = indices.to(x.device).long()
        depth = index.shape[-1]
        flat = torch.zeros(index.shape[:-1], dtype=torch.int64, device=x.device)
        for a in range(depth):
            part = index[..., a]
            flat = flat * x.shape[a] + torch.where(part < 0, part + x.shape[a], part)
        rows = x.reshape(x.shape[:depth].numel(), -1)
        where = flat.reshape(-1, 1).expand(-1, rows.shape[1])
        news = updates.reshape(where.shape)
        if how == "none":
            return rows.scatter(0, where, news).reshape(x.shape)
        return rows.scatter_reduce(0, where, news, _SCATTER[how], include_self=True).reshape(x.shape)

    return run


@operator("OneHot", since=(9, 11, 28))
def one_hot(node: Node) -> Function:
    """A new axis with one "on" value; an index out of range has none."""
    axis = node.int("axis", -1)

    def run(indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
        n = numbers(depth)[0]
        index = indices.long().unsqueeze(axis)
        index = torch.where(index < 0, index + n, index)
        classes = torch.arange(n, device=indices.device)
        place = axis % index.ndim
        is_on = index == classes.reshape([-1 if a == place else 1 for a in range(index.ndim)])
        off, on = values.to(indices.device).unbind()
        return torch.where(is_on, on, off)

    return run


@operator("NonZero", since=(9, 13))
def non_zero(_: Node) -> Function:
    """Where values differ from zero, an axis a row."""
    return lambda x: torch.nonzero(x).T if x.ndim else torch.zeros((0, int(x != 0)), dtype=torch.int64)


@operator("Compress", since=(9, 11, 28))
def compress(node: Node) -> Function:
    """Entries where a condition holds."""
    axis = node.attributes.get("axis")

    def run(x: Tensor, condition: Tensor) -> Tensor:
        kept = torch.nonzero(condition).reshape(-1).to(x.device)
        return x.reshape(-1)[kept] if axis is None else x.index_select(int(axis), kept)

    return run


@operator("ReverseSequence", since=(10, 28))
def reverse_sequence(node: Node) -> Function:
    """The first so many steps of each example, backwards."""
    time, batch = node.int("time_axis", 0), node.int("batch_axis", 1)

    def run(x: Tensor, lengths: Tensor) -> Tensor:
        y = x.movedim((batch, time), (0, 1))
        steps = torch.arange(y.shape[1], device=x.device)
        ends = lengths.to(x.device).long()[:, None]
        at = torch.where(steps < ends, ends - 1 - steps, steps)
        rows = torch.arange(y.shape[0], device=x.device)[:, None]
        return y[rows, at].movedim((0, 1), (batch, time))

    return run
