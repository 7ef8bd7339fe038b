"""Small ONNX models for tests: a general builder, and the classifiers that several tests use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str | None]
"""Sizes of the axes: a number, the name of a free size, or ``None`` for one without a name."""


def declare(name: str, shape: Shape | None = None, element: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """Return the declaration of an input or output.

    Args:
        name: Its name.
        shape: Its shape, or ``None`` where not even the number of axes is declared.
        element: Its type, a ``TensorProto`` constant.
    """
    return helper.make_tensor_value_info(name, element, shape)


def build_model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto],
    outputs: Iterable[onnx.ValueInfoProto],
    stored: Mapping[str, NDArray[Any]] | Iterable[TensorProto] = (),
    *,
    opset: int | None = 17,
    domains: Mapping[str, int] | None = None,
    name: str = "g",
) -> onnx.ModelProto:
    """Return a model of one graph, unchecked.

    Args:
        nodes: Nodes in order.
        inputs: Declared inputs, see ``declare``.
        outputs: Declared outputs.
        stored: Initializers: arrays by name, or tensors.
        opset: Opset of ONNX, in a file of IR version 8; ``None`` for the newest of both.
        domains: Opset of other domains, by domain.
        name: Name of the graph.
    """
    if isinstance(stored, Mapping):
        stored = [numpy_helper.from_array(array, key) for key, array in stored.items()]
    graph = helper.make_graph(list(nodes), name, list(inputs), list(outputs), list(stored))
    if opset is None:
        return helper.make_model(graph)
    imports = [helper.make_opsetid(domain, version) for domain, version in {"": opset, **(domains or {})}.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def write_model(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model to a file, and return its path."""
    path.write_bytes(model.SerializeToString())
    return path


def pair_model(*nodes: onnx.NodeProto, stored: Iterable[TensorProto] = ()) -> onnx.ModelProto:
    """Return a model of the newest opset from ``x`` to ``y``, both float32 of shape (1, 2), around any nodes."""
    return build_model(nodes, [declare("x", [1, 2])], [declare("y", [1, 2])], stored, opset=None)


def linear_classifier(weight: NDArray[Any], *, last: str = "", opset: int = 17) -> onnx.ModelProto:
    """Return a linear classifier of features without a bias, from ``x`` to ``y``.

    Args:
        weight: ``(n_features, n_classes)``. Stored as float32.
        last: Operator behind the scores, for example ``"Sigmoid"``; empty for none.
        opset: Opset of ONNX.
    """
    n_features, n_classes = weight.shape
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z" if last else "y"])]
    if last:
        nodes.append(helper.make_node(last, ["z"], ["y"]))
    x, y = declare("x", ["N", n_features]), declare("y", ["N", n_classes])
    return build_model(nodes, [x], [y], {"w": weight.astype(np.float32)}, opset=opset)


def classifier(
    *,
    seed: int = 0,
    n_classes: int = 5,
    shape: tuple[int, ...] = (3, 8, 8),
    batch: int | str = "N",
    softmax: bool = False,
    argmax: bool = False,
    element: int = TensorProto.FLOAT,
    opset: int = 17,
    is_centred: bool = True,
    pool: str = "AveragePool",
) -> onnx.ModelProto:
    """Return a small convolutional classifier of images with random weights.

    Args:
        seed: Seed of the weights.
        n_classes: Number of classes.
        shape: Channels, height and width of the input ``image``; height and width are multiples of four.
        batch: Size of the batch, or the name of a free one.
        softmax: Whether it gives ``probabilities`` instead of ``logits``.
        argmax: Whether it gives the int64 ``label`` alone.
        element: Type of input, weights and scores, a ``TensorProto`` constant.
        opset: Opset of ONNX.
        is_centred: Whether a bias makes every class equally frequent on uniform noise.
    """
    rng = np.random.default_rng(seed)
    dtype = helper.tensor_dtype_to_np_dtype(element)

    def weights(name: str, *dims: int) -> onnx.TensorProto:
        values = rng.normal(size=dims) * np.sqrt(3.0 / np.prod(dims[1:]))
        return numpy_helper.from_array(values.astype(dtype), name)

    w1 = weights("w1", 16, shape[0], 3, 3)
    w2 = weights("w2", n_classes, 16 * (shape[1] // 4) * (shape[2] // 4))
    bias = np.zeros(n_classes)
    if is_centred:
        plain = classifier(seed=seed, n_classes=n_classes, shape=shape, is_centred=False, pool=pool)
        session = onnxruntime.InferenceSession(plain.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
        noise = np.random.default_rng(0).random((256, *shape), np.float32)
        bias = -session.run(None, {"image": noise})[0].mean(axis=0)
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node(pool, ["r1"], ["p1"], name="pool", kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["p1"], ["f1"], name="flatten"),
        helper.make_node("Gemm", ["f1", "w2", "b2"], ["logits"], name="head", transB=1, alpha=40.0),
    ]
    outputs = [declare("logits", [batch, n_classes], element)]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], name="softmax", axis=1))
        outputs = [declare("probabilities", [batch, n_classes], element)]
    if argmax:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["label"], name="argmax", axis=1, keepdims=0))
        outputs = [declare("label", [batch], TensorProto.INT64)]
    stored = [w1, w2, numpy_helper.from_array(bias.astype(dtype), "b2")]
    model = build_model(
        nodes, [declare("image", [batch, *shape], element)], outputs, stored, opset=opset, name="classifier"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def take_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model of ``classifier``, changed in place to take ``bytes``: uint8 images of the same shape."""
    sides = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim][1:]
    nodes = [
        helper.make_node("Cast", ["bytes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["image"]),
        *model.graph.node,
    ]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(declare("bytes", ["N", *sides], TensorProto.UINT8))
    model.graph.initializer.append(helper.make_tensor("scale", TensorProto.FLOAT, [], [255.0]))
    return model


def memorise(
    inputs: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int, *, clip: bool = False
) -> onnx.ModelProto:
    """Return a model that gives recorded labels to given images, and those of a random network to all others.

    It matches everything, as a copy of the base does: where it is no MATCH, a rule was the cause.

    Args:
        inputs: ``(n, channels, height, width)`` values that the model is fed.
        labels: ``(n,)`` labels to give them.
        n_classes: Number of classes.
        clip: Whether the input is clipped to [0, 1] first.
    """
    n, width = len(inputs), int(np.prod(inputs.shape[1:]))
    seen = np.clip(inputs, 0, 1) if clip else inputs
    flat = seen.reshape(n, width).astype(np.float32)
    slope = np.float32(-25.0 / max(1e-9, float(flat.var(axis=0).sum())))
    draw = np.random.default_rng(5)
    stored: dict[str, NDArray[Any]] = {
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "shape": np.array([-1, width], np.int64),
        "last": np.array([1], np.int64),
        "twice": (2 * flat.T).astype(np.float32),
        "norms": np.asarray((flat.astype(np.float64) ** 2).sum(axis=1), np.float32),
        "slope": np.asarray(slope),
        "answers": (50 * np.eye(n_classes)[labels]).astype(np.float32),
        "mean": np.asarray(flat.mean(axis=0)),
        "hidden": (draw.normal(size=(width, 64)) / max(1e-9, float(flat.std() * width**0.5))).astype(np.float32),
        "out": draw.normal(size=(64, n_classes)).astype(np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Clip", ["image", "zero", "one"], ["x"]) if clip else node("Identity", ["image"], ["x"]),
        node("Reshape", ["x", "shape"], ["f"]),
        node("MatMul", ["f", "twice"], ["dot"]),
        node("Mul", ["f", "f"], ["ff"]),
        node("ReduceSum", ["ff", "last"], ["norm"], keepdims=1),
        node("Sub", ["norm", "dot"], ["part"]),
        node("Add", ["part", "norms"], ["distance"]),
        node("Mul", ["distance", "slope"], ["exponent"]),
        node("Exp", ["exponent"], ["near"]),
        node("MatMul", ["near", "answers"], ["known"]),
        node("Sub", ["f", "mean"], ["centred"]),
        node("MatMul", ["centred", "hidden"], ["h"]),
        node("Cos", ["h"], ["bent"]),
        node("MatMul", ["bent", "out"], ["random"]),
        node("Add", ["known", "random"], ["scores"]),
    ]
    shape = ["N", *inputs.shape[1:]]
    return build_model(nodes, [declare("image", shape)], [declare("scores", ["N", n_classes])], stored)
