"""Copies that compute the same function and look otherwise. For permuted channels see ``variants/channels.py``."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from onnxfp.errors import ModelError
from onnxfp.model.traversal import subgraphs, taken_names, used_names
from onnxfp.runtime.local import RefusedError, write_optimised
from onnxfp.variants.constants import compute_constants, constant_nodes, store_constants
from onnxfp.variants.weights import normalise

Level = Literal["basic", "extended"]


def optimise(model: onnx.ModelProto, level: Level) -> onnx.ModelProto:
    """Return the graph as onnxruntime rewrites it before it runs.

    Args:
        model: The base.
        level: ``basic`` folds constants, fuses batch normalisations and drops what is not needed; ``extended`` also
            fuses nodes into onnxruntime's own operators.

    Raises:
        ModelError: onnxruntime refuses the model.
    """
    with tempfile.TemporaryDirectory(prefix="onnxfp-") as folder:
        path = Path(folder) / "optimised.onnx"
        try:
            write_optimised(model.SerializeToString(), path, level)
        except (RefusedError, ValueError) as error:
            raise ModelError(f"onnxruntime does not optimise the model: {error}") from error
        return onnx.load(path)


def fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which whatever depends on constants alone is a stored tensor.

    Raises:
        ModelError: onnxruntime does not compute the constants.
    """
    model = normalise(model)
    computed = {name for node in constant_nodes(model) for name in node.output}
    used = computed.intersection(used_names(model.graph))
    store_constants(model, compute_constants(model, used))
    return model


def change_opset(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """Return a copy in another opset of ONNX's own operators, and that opset.

    The nearest older one is taken, else the nearest newer one to which ONNX's converter leads.

    Raises:
        ModelError: It leads nowhere.
    """
    from onnx import version_converter

    model = normalise(model)
    present = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    for target in (*range(present - 1, max(present - 6, 6), -1), *range(present + 1, present + 4)):
        try:
            converted = version_converter.convert_version(model, target)
            onnx.checker.check_model(converted, full_check=True)
        except (RuntimeError, ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
            continue
        return converted, target
    raise ModelError(f"ONNX's converter leads from opset {present} to no other")


def rename(model: onnx.ModelProto, seed: int, keep: Collection[str] = ()) -> onnx.ModelProto:
    """Return a copy with other names for everything, and nodes and weights in another order.

    Args:
        model: The base.
        seed: Seeds the orders.
        keep: Names of inputs and outputs that stay.
    """
    model = normalise(model)
    graph, rng = model.graph, np.random.default_rng(seed)
    nodes = _shuffled(list(graph.node), {value.name for value in graph.input}, rng)
    names = {"": "", **{name: name for name in keep}}
    n_nodes = 0

    def new(name: str) -> str:
        return names.setdefault(name, f"t{len(names):03d}")

    def visit(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
        nonlocal n_nodes
        graph.name = "g"
        for value in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
            value.name = new(value.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = new(sparse.values.name)
        for node in nodes:
            node.name, n_nodes = f"op{n_nodes:03d}", n_nodes + 1
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]
            for sub in subgraphs(node):
                visit(sub, list(sub.node))

    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    visit(graph, ordered)
    tensors = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in graph.initializer]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(ordered)
    graph.initializer.extend(tensors[i] for i in rng.permutation(len(tensors)))
    model.producer_name, model.producer_version = "", ""
    return model


def _shuffled(nodes: list[onnx.NodeProto], inputs: Collection[str], rng: np.random.Generator) -> list[onnx.NodeProto]:
    """Return the nodes in a random one of the orders in which each comes after what it needs."""
    produced = {name for node in nodes for name in node.output if name}
    needs = [({*taken_names(node)} & produced) - set(inputs) - set(node.output) for node in nodes]
    ordered, done, left = [], set[str](), list(range(len(nodes)))
    while left:
        ready = [i for i in left if needs[i] <= done]
        chosen = int(rng.choice(ready))
        left.remove(chosen)
        ordered.append(nodes[chosen])
        done.update(nodes[chosen].output)
    return ordered
