"""Branches and loops, sequences and optional values.

A condition decides which nodes run; gradients flow through those that did.

Specification: https://onnx.ai/onnx/operators/onnx__If.html, onnx__Loop.html, onnx__Scan.html, onnx__Sequence*.html
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator
from onnxfp.torch_copy.operators.shape import numbers

_FLOW = (11, 13, 16, 19, 21, 23, 24, 25)

MAX_ITERATIONS = 1_000_000
"""A loop that runs longer is refused: no classifier needs it, and a hostile one would never end."""


@operator("If", since=(1, *_FLOW))
def if_(node: Node) -> Function:
    """One of two subgraphs."""
    branches = [node.build_subgraph(node.attributes[name]) for name in ("else_branch", "then_branch")]

    def run(condition: Tensor, outer: dict[str, Any] | None = None) -> Any:
        chosen = branches[bool(condition.reshape(-1)[0])]
        return tuple(chosen.run({**chosen.constants, **(outer or {})}))

    return run


@operator("Loop", since=(1, *_FLOW))
def loop(node: Node) -> Function:
    """A subgraph again and again, with values carried on and values collected."""
    body = node.build_subgraph(node.attributes["body"])

    def run(limit: Tensor | None, condition: Tensor | None, *carried: Any, outer: dict[str, Any] | None = None) -> Any:
        n_limit = None if limit is None else int(limit.reshape(-1)[0])
        goes_on = condition is None or bool(condition.reshape(-1)[0])
        state = list(carried)
        collected: list[list[Tensor]] = [[] for _ in range(len(body.outputs) - 1 - len(carried))]
        step = 0
        while goes_on and (n_limit is None or step < n_limit):
            if step >= MAX_ITERATIONS:
                raise ValueError(f"the loop runs for more than {MAX_ITERATIONS} steps")
            inputs = [torch.tensor(step), torch.tensor(True), *state]
            values = {**body.constants, **(outer or {}), **dict(zip(body.inputs, inputs, strict=True))}
            flag, *results = body.run(values)
            goes_on = bool(flag.reshape(-1)[0])
            state = results[: len(carried)]
            for column, value in zip(collected, results[len(carried) :], strict=True):
                column.append(value)
            step += 1
        return *state, *(torch.stack(column) if column else torch.zeros(0) for column in collected)

    return run


@operator("Scan", since=(9, *_FLOW))
def scan(node: Node) -> Function:
    """A subgraph for each slice of its scanned inputs."""
    body, n_scanned = node.build_subgraph(node.attributes["body"]), node.int("num_scan_inputs", 1)
    in_axes, out_axes = node.ints("scan_input_axes"), node.ints("scan_output_axes")
    in_back, out_back = node.ints("scan_input_directions"), node.ints("scan_output_directions")

    def run(*inputs: Tensor, outer: dict[str, Any] | None = None) -> Any:
        n_state = len(inputs) - n_scanned
        state, scanned = list(inputs[:n_state]), list(inputs[n_state:])
        scanned = [x.movedim(in_axes[i] if in_axes else 0, 0) for i, x in enumerate(scanned)]
        scanned = [x.flip(0) if in_back and in_back[i] else x for i, x in enumerate(scanned)]
        collected: list[list[Tensor]] = [[] for _ in range(len(body.outputs) - n_state)]
        for step in range(scanned[0].shape[0]):
            given = [*state, *(x[step] for x in scanned)]
            values = {**body.constants, **(outer or {}), **dict(zip(body.inputs, given, strict=True))}
            results = body.run(values)
            state = results[:n_state]
            for column, value in zip(collected, results[n_state:], strict=True):
                column.append(value)
        outputs = [
            torch.stack(column[::-1] if out_back and out_back[i] else column) for i, column in enumerate(collected)
        ]
        outputs = [y.movedim(0, out_axes[i] if out_axes else 0) for i, y in enumerate(outputs)]
        return *state, *outputs

    return run


@operator("SequenceConstruct", since=(11,))
def sequence_construct(_: Node) -> Function:
    """A sequence of the inputs."""
    return lambda *inputs: list(inputs)


@operator("SequenceEmpty", since=(11,))
def sequence_empty(_: Node) -> Function:
    """A sequence of nothing."""
    return list


@operator("SequenceAt", since=(11,))
def sequence_at(_: Node) -> Function:
    """One element."""
    return lambda sequence, position: sequence[int(position)]


@operator("SequenceLength", since=(11,))
def sequence_length(_: Node) -> Function:
    """The number of elements."""
    return lambda sequence: torch.tensor(len(sequence))


@operator("SequenceInsert", since=(11,))
def sequence_insert(_: Node) -> Function:
    """With one more element, at the end unless a position is given."""

    def run(sequence: list[Any], value: Any, position: Tensor | None = None) -> Any:
        at = len(sequence) if position is None else int(position) % (len(sequence) + 1)
        return [*sequence[:at], value, *sequence[at:]]

    return run


@operator("SequenceErase", since=(11,))
def sequence_erase(_: Node) -> Function:
    """Without one element, the last unless a position is given."""

    def run(sequence: list[Any], position: Tensor | None = None) -> Any:
        at = (-1 if position is None else int(position)) % len(sequence)
        return sequence[:at] + sequence[at + 1 :]

    return run


@operator("ConcatFromSequence", since=(11,))
def concat_from_sequence(node: Node) -> Function:
    """The elements joined along an axis, which may be a new one."""
    axis, is_new = node.int("axis", 0), bool(node.int("new_axis", 0))
    return lambda sequence: torch.stack(sequence, axis) if is_new else torch.cat(sequence, axis)


@operator("SplitToSequence", since=(11, 24))
def split_to_sequence(node: Node) -> Function:
    """Pieces along an axis."""
    axis, keep = node.int("axis", 0), bool(node.int("keepdims", 1))

    def run(x: Tensor, split: Tensor | None = None) -> Any:
        if split is None:
            pieces = torch.split(x, 1, axis)
            return [p if keep else p.squeeze(axis) for p in pieces]
        sizes = numbers(split)
        return list(torch.split(x, sizes[0] if split.ndim == 0 else sizes, axis))

    return run


@operator("Optional", since=(15, 28))
def optional(_: Node) -> Function:
    """A value, or its absence."""
    return lambda value=None: value


@operator("OptionalHasElement", since=(15, 18, 28))
def optional_has_element(_: Node) -> Function:
    """Whether there is a value."""
    return lambda value=None: torch.tensor(value is not None)


@operator("OptionalGetElement", since=(15, 18, 28))
def optional_get_element(_: Node) -> Function:
    """The value."""
    return lambda value: value
