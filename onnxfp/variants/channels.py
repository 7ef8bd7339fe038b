"""Hidden channels in another order: the same function, no weight tensor alike.

Values of the graph whose channels must stand in one order form a group: a convolution's output with whatever passes it
on channel by channel, and both sides of an addition. One channel that an addition or a gate spreads over many has no
part in their order. A group may be permuted if everything that reads or writes it is understood; any other node pins
the groups that it touches, as do the graph's inputs and outputs.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from onnxfp.errors import ModelError
from onnxfp.model.op_traits import find_traits
from onnxfp.model.traversal import taken_names
from onnxfp.variants.constants import use_counts
from onnxfp.variants.weights import normalise, with_weights

_Axes = list[tuple[int, str]]


class _Groups:
    """Disjoint sets of value names, some of them pinned.

    Attributes:
        flat: Values in which the pixels of a channel stand side by side, one channel after the other.
        sizes: Number of axes and of channels of the values that layers make.
    """

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._pinned: set[str] = set()
        self.flat: set[str] = set()
        self.sizes: dict[str, tuple[int, int]] = {}

    def of(self, name: str) -> str:
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name

    def join(self, *names: str) -> None:
        first, *others = map(self.of, names)
        for other in others:
            if other != first:
                self._parents[other] = first
                if other in self._pinned:
                    self._pinned.add(first)

    def pass_on(self, given: str, made: str, n_axes: int | None = None) -> None:
        """Give one value the channels of another, on so many axes; on as many by default."""
        self.join(given, made)
        if given in self.flat:
            self.flat.add(made)
        if given in self.sizes:
            own_axes, n_channels = self.sizes[given]
            self.sizes[made] = (n_axes or own_axes, n_channels)

    def pin(self, *names: str) -> None:
        self._pinned.update(map(self.of, names))

    def is_pinned(self, name: str) -> bool:
        return self.of(name) in self._pinned


def permute_channels(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Return a copy that computes the same, with its hidden channels in another order.

    Args:
        model: The base.
        seed: Seeds the orders.

    Raises:
        ModelError: No group of channels can be permuted soundly.
    """
    model = normalise(model)
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    uses = use_counts(model)
    groups = _Groups()
    groups.pin(*(value.name for value in (*model.graph.input, *model.graph.output)))
    # Which axes of which stored tensors follow which value's channels.
    followers: dict[str, _Axes] = {}
    for node in model.graph.node:
        found = _followers(node, tensors, groups)
        stored = [name for axes in found.values() for _, name in axes] if found is not None else []
        if found is None or any(uses[name] > 1 for name in stored):
            touched = (*taken_names(node), *node.output)
            groups.pin(*(name for name in touched if name and name not in tensors))
            continue
        for name, axes in found.items():
            followers.setdefault(name, []).extend(axes)
    rng = np.random.default_rng(seed)
    free = {value: axes for value, axes in followers.items() if not groups.is_pinned(value)}
    orders: dict[str, NDArray[np.int64]] = {}
    for value, axes in free.items():
        for axis, name in axes:
            if value not in groups.flat and groups.of(value) not in orders:
                orders[groups.of(value)] = rng.permutation(tensors[name].shape[axis])
    changed: dict[str, NDArray[np.generic]] = {}
    for value, axes in free.items():
        order = orders.get(groups.of(value))
        if order is None:
            continue
        for axis, name in axes:
            array = changed.get(name, tensors[name])
            if array.shape[axis] % len(order) or (value not in groups.flat and array.shape[axis] != len(order)):
                raise ModelError(f"tensor {name!r} does not have the {len(order)} channels of {value!r} on axis {axis}")
            changed[name] = np.take(array, _spread(order, array.shape[axis]), axis)
    if not any(len(order) > 1 for order in orders.values()):
        raise ModelError("the model has no hidden channels that can be permuted soundly")
    return with_weights(model, changed)


def _spread(order: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return the order of ``length`` features that are the pixels of channels in that order."""
    n_pixels = length // len(order)
    return (order[:, None] * n_pixels + np.arange(n_pixels)).reshape(-1)


def _followers(
    node: onnx.NodeProto, tensors: dict[str, NDArray[np.generic]], groups: _Groups
) -> dict[str, _Axes] | None:
    """Return which axes of which tensors follow the channels of which value, or ``None`` where that is not known."""
    inputs, outputs = list(node.input), [name for name in node.output if name]
    kind, attributes = node.op_type, {a.name: a for a in node.attribute}
    rule = find_traits(node.domain, kind).channels
    if node.domain not in ("", "ai.onnx") or len(outputs) != 1 or not inputs or inputs[0] in tensors:
        return None
    given, made = inputs[0], outputs[0]
    rest = [name for name in inputs[1:] if name]
    if kind == "Conv":
        return _follow_convolution(given, made, rest, attributes, tensors, groups)
    if kind == "Flatten" or (kind == "Reshape" and rest and tensors.get(rest[0], np.empty(0)).tolist() == [0, -1]):
        if "axis" in attributes and attributes["axis"].i != 1:
            return None
        groups.pass_on(given, made, n_axes=2)
        groups.flat.add(made)
        return {}
    if kind == "Gemm":
        is_known = all(name in tensors for name in rest) and not ("transA" in attributes and attributes["transA"].i)
        if not is_known or (len(rest) > 1 and tensors[rest[1]].ndim != 1):
            return None
        is_transposed = "transB" in attributes and bool(attributes["transB"].i)
        bias = [(0, name) for name in rest[1:] if tensors[name].size > 1]
        groups.sizes[made] = (2, tensors[rest[0]].shape[0 if is_transposed else 1])
        return {given: [(1 if is_transposed else 0, rest[0])], made: [(0 if is_transposed else 1, rest[0]), *bias]}
    if rule == "kept":
        groups.pass_on(given, made)
        if kind == "BatchNormalization":
            return {made: [(0, name) for name in rest]} if all(name in tensors for name in rest) else None
        return {} if all(name in tensors and tensors[name].size == 1 for name in rest) else None
    if rule == "joined" and len(inputs) == 2:
        if inputs[1] in tensors:
            groups.pass_on(given, made)
            return {} if tensors[inputs[1]].size == 1 else None
        return {} if _join(given, inputs[1], made, groups) else None
    if rule == "reduced":
        axes = (
            list(attributes["axes"].ints)
            if "axes" in attributes
            else tensors[rest[0]].tolist()
            if rest and rest[0] in tensors
            else []
        )
        is_kept = "keepdims" not in attributes or bool(attributes["keepdims"].i)
        return _follow_reduction(given, made, axes, groups, is_kept=is_kept)
    return None


def _follow_convolution(
    given: str,
    made: str,
    stored: list[str],
    attributes: dict[str, onnx.AttributeProto],
    tensors: dict[str, NDArray[np.generic]],
    groups: _Groups,
) -> dict[str, _Axes] | None:
    """Return what follows the channels of a convolution's input and output, or ``None`` where that is not known."""
    if any(name not in tensors for name in stored):
        return None
    n_groups = attributes["group"].i if "group" in attributes else 1
    of_output = [(0, name) for name in stored]
    weight = tensors[stored[0]]
    groups.sizes[made] = (weight.ndim, weight.shape[0])
    if n_groups == 1:
        return {given: [(1, stored[0])], made: of_output}
    if n_groups == weight.shape[0] and weight.shape[1] == 1:
        groups.pass_on(given, made)
        return {made: of_output}
    return None


def _follow_reduction(
    given: str, made: str, axes: list[int], groups: _Groups, *, is_kept: bool
) -> dict[str, _Axes] | None:
    """Pass channels on through a reduction, or return ``None`` where that is not known."""
    # Over height and width alone, counted from the front: the channels' axis stays where it is.
    if sorted(axes) not in ([2, 3], [2]):
        return None
    n_axes, _ = groups.sizes.get(given, (0, 0))
    groups.pass_on(given, made, n_axes if is_kept else n_axes - len(axes))
    return {}


def _join(one: str, other: str, made: str, groups: _Groups) -> bool:
    """Join both operands of a node with what it makes, as far as they share an order; return whether that is known."""
    sizes = [groups.sizes.get(name) for name in (one, other)]
    is_linear_model = one in groups.flat
    if is_linear_model != (other in groups.flat) or sizes[0] is None or sizes[1] is None or sizes[0][0] != sizes[1][0]:
        return False
    wide, narrow = (one, other) if sizes[0][1] >= sizes[1][1] else (other, one)
    n_most, n_least = groups.sizes[wide][1], groups.sizes[narrow][1]
    if n_least != n_most and (n_least > 1 or is_linear_model):
        return False
    groups.pass_on(wide, made)
    if n_least == n_most:
        groups.join(narrow, made)
    return True
