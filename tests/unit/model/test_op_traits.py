"""Facts about operators, held against the schemas of ONNX and onnxruntime, and against what the operators compute."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

from onnxfp.model.op_traits import TRAITS, OpTraits, find_traits
from onnxfp.torch_copy import operators  # noqa: F401 - fills the registry
from onnxfp.torch_copy.operators.registry import registered

Key = tuple[str, str]
Array = NDArray[Any]
ML, MICROSOFT = "ai.onnx.ml", "com.microsoft"
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3), helper.make_opsetid(MICROSOFT, 1)]

# Which inputs hold trained weights is no part of a schema; the names that schemas give to them are.
WEIGHTS = {"W", "R", "w", "weights", "A", "B", "b", "Inputs", "K"}
VECTORS = {"B", "C", "V", "bias", "beta", "gamma", "scale", "slope"}
INTEGERS = ("tensor(uint8)", "tensor(int8)")

IMAGE = np.random.default_rng(0).normal(size=(2, 5, 4, 4)).astype(np.float32)


def newest(schemas: Iterable[Any]) -> dict[Key, Any]:
    by_key: dict[Key, Any] = {}
    for schema in schemas:
        key = (schema.domain, schema.name)
        if key not in by_key or schema.since_version > by_key[key].since_version:
            by_key[key] = schema
    return by_key


SCHEMAS = newest(get_all_operator_schema()) | newest(onnx.defs.get_all_schemas_with_history())


def keys(**facts: object) -> list[Key]:
    """Return the operators whose rows have some facts."""
    return [key for key, row in TRAITS.items() if all(getattr(row, name) == value for name, value in facts.items())]


def const(*values: float, dtype: type = np.float32) -> Array:
    return np.array(values, dtype)


def axes(*values: int) -> Array:
    return np.array(values, np.int64)


# Further inputs, and attributes, with which an operator takes one image.
CALLS: dict[Key, tuple[list[Array], dict[str, Any]]] = {
    ("", "AveragePool"): ([], {"kernel_shape": [2, 2]}),
    ("", "BatchNormalization"): ([const(*[v] * 5) for v in (1.5, 0.5, 0.1, 2.0)], {}),
    ("", "Cast"): ([], {"to": TensorProto.DOUBLE}),
    ("", "CastLike"): ([np.array(0, np.float64)], {}),
    ("", "Clip"): ([np.array(-0.5, np.float32), np.array(0.5, np.float32)], {}),
    ("", "Concat"): ([IMAGE], {"axis": 1}),
    ("", "Expand"): ([axes(3, 2, 5, 4, 4)], {}),
    ("", "Gather"): ([axes(1, 0)], {"axis": 1}),
    ("", "GatherElements"): ([np.zeros((2, 5, 4, 4), np.int64)], {"axis": 1}),
    ("", "GatherND"): ([np.array([[1, 2]], np.int64)], {}),
    (MICROSOFT, "GatherND"): ([np.array([[1, 2]], np.int64)], {}),
    ("", "Conv"): ([np.ones((3, 5, 2, 2), np.float32), const(1, 2, 3)], {}),
    ("", "Div"): ([const(2.0)], {}),
    ("", "Einsum"): ([np.ones((5, 3), np.float32)], {"equation": "nchw,ck->nkhw"}),
    ("", "MatMul"): ([np.ones((4, 3), np.float32)], {}),
    ("", "MaxPool"): ([], {"kernel_shape": [2, 2]}),
    ("", "Pad"): ([axes(0, 1, 0, 0, 0, 0, 0, 2)], {}),
    (MICROSOFT, "Pad"): ([axes(0, 1, 0, 0, 0, 0, 0, 2)], {}),
    ("", "ReduceMax"): ([], {"axes": [2, 3]}),
    ("", "ReduceMean"): ([], {"axes": [2, 3]}),
    ("", "ReduceMin"): ([], {"axes": [2, 3]}),
    ("", "ReduceSum"): ([axes(2, 3)], {}),
    ("", "Reshape"): ([axes(0, -1)], {}),
    ("", "Slice"): ([axes(1), axes(3), axes(1)], {}),
    ("", "Squeeze"): ([], {}),
    ("", "Tile"): ([axes(1, 2, 1, 1)], {}),
    ("", "Unsqueeze"): ([axes(0)], {}),
}
CALLS |= {("", name): ([IMAGE[::-1].copy()], {}) for name in ("Add", "Sub", "Mul", "Max", "Min", "Mean", "Sum")}
# Linear with a stored operand alone.
STORED_OPERAND = {("", "Mul"): [const(-2.0)], ("", "Div"): [const(2.0)]}
# Of other inputs than one image, or whose output does not depend on its values.
OTHER_INPUTS = {
    *((domain, name) for domain in ("", MICROSOFT) for name in ("QuantizeLinear", "DequantizeLinear")),
    *(("", name) for name in ("Constant", "ConstantOfShape", "Shape", "Gemm", "Split")),
    *((ML, name) for name in ("FeatureVectorizer", "LinearClassifier", "LinearRegressor", "Scaler")),
}


def compute(key: Key, *inputs: Array, **attributes: Any) -> Array:
    """Return the first output of one node, computed by onnxruntime."""
    names = [f"x{position}" for position in range(len(inputs))]
    node = helper.make_node(key[1], names, ["y"], domain=key[0], **attributes)
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.asarray(x).dtype), np.shape(x))
        for name, x in zip(names, inputs, strict=True)
    ]
    graph = helper.make_graph([node], "g", given, [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    output: Array = session.run(None, dict(zip(names, map(np.asarray, inputs), strict=True)))[0]
    return output


def call(key: Key, image: Array) -> Array:
    rest, attributes = CALLS.get(key, ([], {}))
    return compute(key, image, *rest, **attributes)


def test_every_supported_operator_has_a_row() -> None:
    missing = registered().keys() - TRAITS.keys()
    assert not missing, f"add rows to onnxfp/model/op_traits.py: {sorted(missing)}"


def test_every_row_names_an_operator() -> None:
    unknown = TRAITS.keys() - SCHEMAS.keys() - registered().keys()
    assert not unknown


def test_an_operator_without_a_row_has_the_defaults() -> None:
    assert find_traits("", "NoSuchOperator") == find_traits("org.example", "Conv") == OpTraits()
    assert OpTraits() not in (find_traits("", "Conv"), find_traits("", "Relu"))


def test_the_domain_of_onnx_has_two_names() -> None:
    assert find_traits("ai.onnx", "Conv") is find_traits("", "Conv")
    assert find_traits("ai.onnx", "FusedConv") == OpTraits()


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TRAITS["", "Conv"] = OpTraits()  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        TRAITS["", "Conv"].rounds = True  # type: ignore[misc]


def test_the_table_needs_no_library() -> None:
    code = "import sys, onnxfp.model.op_traits; print({'numpy', 'onnx', 'torch'} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


@pytest.mark.parametrize("key", [key for key, row in TRAITS.items() if row.weight_inputs and key in SCHEMAS])
def test_weight_inputs_are_those_of_the_schema(key: Key) -> None:
    row, schema = TRAITS[key], SCHEMAS[key]
    names = [parameter.name for parameter in schema.inputs]
    if key == ("", "Einsum"):
        names *= 3
    assert set(row.matrix_inputs) <= set(row.weight_inputs)
    assert {names[position] for position in row.matrix_inputs} <= WEIGHTS
    vectors = set(row.weight_inputs) - set(row.matrix_inputs)
    assert {names[position].lower() for position in vectors} <= {name.lower() for name in VECTORS}
    # Every input of such a name is listed.
    trained = {"b", "c", "w", "r", "weights", "bias", "beta", "gamma", "scale", "slope"}
    assert {position for position, name in enumerate(names) if name.lower() in trained} <= set(row.weight_inputs)


def test_only_layers_with_a_weight_have_a_kind() -> None:
    kinds = {row.layer for row in TRAITS.values()} - {None}
    assert kinds == {"convolution", "transposed convolution", "affine", "product"}
    assert all(1 in row.matrix_inputs for row in TRAITS.values() if row.layer)


@pytest.mark.parametrize(
    ("key", "axis"),
    [(("", "Conv"), 0), ((MICROSOFT, "FusedConv"), 0), (("", "ConvTranspose"), 1)],
)
def test_the_filters_of_one_output_channel_are_at_the_axis_of_its_kind(key: Key, axis: int) -> None:
    weight = np.ones((5, 5, 2, 2), np.float32)
    weight[(slice(None),) * axis + (3,)] = 0
    output = compute(key, IMAGE, weight)
    assert (output[:, 3] == 0).all()
    assert (output[:, :3] != 0).all()
    assert TRAITS[key].layer == ("convolution", "transposed convolution")[axis]


@pytest.mark.parametrize("key", [("", "Gemm"), (MICROSOFT, "FusedGemm"), ("", "MatMul"), (MICROSOFT, "FusedMatMul")])
def test_the_columns_of_one_output_are_the_second_axis(key: Key) -> None:
    weight = np.ones((4, 3), np.float32)
    weight[:, 1] = 0
    fused = {"activation": "Relu"} if key[1] == "FusedGemm" else {}
    output = compute(key, np.ones((2, 4), np.float32), weight, **fused)
    np.testing.assert_array_equal(output, [[4, 0, 4]] * 2)
    assert TRAITS[key].layer == ("affine" if "Gemm" in key[1] else "product")


@pytest.mark.parametrize("key", [key for key, row in TRAITS.items() if row.integer_weight])
def test_integer_weights_have_their_zero_points(key: Key) -> None:
    stored, inputs = TRAITS[key].integer_weight, SCHEMAS[key].inputs
    assert stored is not None
    weight, zero_point = inputs[stored.position], inputs[stored.zero_point]
    assert zero_point.name == f"{weight.name}_zero_point".lower()
    assert set(INTEGERS) & types(key, stored.position)
    assert TRAITS[key].takes_levels


def test_every_input_with_zero_points_of_a_weight_is_listed() -> None:
    with_zeros = {
        key
        for key in registered().keys() & SCHEMAS.keys()
        if {"w_zero_point", "b_zero_point"} & {parameter.name.lower() for parameter in SCHEMAS[key].inputs}
    }
    # QLinearAdd and QLinearMul take two activations.
    listed = {key for key, row in TRAITS.items() if row.integer_weight}
    assert with_zeros - {(MICROSOFT, "QLinearAdd"), (MICROSOFT, "QLinearMul")} == listed


def types(key: Key, position: int) -> set[str]:
    """Return the types that a schema allows for an input."""
    return set(map(str, SCHEMAS[key].inputs[position].types))


# The branches of If take their values from around them.
@pytest.mark.parametrize("key", [key for key in keys(takes_levels=True) if key != ("", "If")])
def test_what_takes_levels_takes_integers(key: Key) -> None:
    allowed = set().union(*(types(key, position) for position in range(len(SCHEMAS[key].inputs))))
    assert set(INTEGERS) & allowed


def test_every_operator_of_integers_and_their_scale_takes_levels() -> None:
    for key in registered().keys() & SCHEMAS.keys():
        names = [parameter.name.lower() for parameter in SCHEMAS[key].inputs]
        if any("zero_point" in name for name in names) and "QuantizeLinear" not in key[1]:
            assert TRAITS[key].takes_levels, key


def test_operators_that_give_quantised_values_round() -> None:
    for key in registered().keys() & SCHEMAS.keys():
        names = [parameter.name.lower() for parameter in SCHEMAS[key].inputs]
        gives_scale = any(name in ("y_scale", "c_scale", "output_scale") for name in names)
        if gives_scale or key[1].startswith("QLinear"):
            assert TRAITS[key].rounds, key


@pytest.mark.parametrize("name", ["Round", "Floor", "Ceil"])
def test_rounding_gives_whole_numbers(name: str) -> None:
    assert TRAITS["", name].rounds
    output = compute(("", name), IMAGE)
    np.testing.assert_array_equal(output, np.rint(output))


def test_random_operators_are_those_that_onnx_calls_not_deterministic() -> None:
    kind = onnx.defs.OpSchema.NodeDeterminism.NonDeterministic
    schemas: list[Any] = [schema for schema in onnx.defs.get_all_schemas() if schema.domain == ""]
    # With bodies, or functions of them: as random as the nodes inside.
    composed = {"If", "Loop", "Scan", "SequenceMap", "AffineGrid"}
    drawing = {schema.name for schema in schemas if schema.node_determinism == kind} - composed
    # In training alone.
    assert {name for domain, name in keys(is_random=True) if domain == ""} == drawing - {"Dropout"}
    assert drawing == {schema.name for schema in schemas if "seed" in schema.attributes} | {"Bernoulli"}


@pytest.mark.parametrize("key", keys(unit_range="always"))
def test_bounded_outputs_are_between_zero_and_one(key: Key) -> None:
    if key[0] == MICROSOFT:
        levels = np.arange(256, dtype=np.uint8).reshape(4, 64)
        scale, zero = np.float32(1 / 256), np.uint8(0)
        attributes = {"opset": 13} if key[1] == "QLinearSoftmax" else {}
        given: list[Any] = [levels, np.float32(0.1), np.uint8(128), scale, zero]
        output = compute(key, *given, **attributes).astype(np.float32) * scale
    else:
        output = compute(key, 10 * IMAGE)
    assert output.min() >= 0
    assert output.max() <= 1
    assert np.ptp(output) > 0


@pytest.mark.parametrize("rule", ["first input", "all inputs"])
def test_values_between_zero_and_one_stay_there(rule: str) -> None:
    image = np.random.default_rng(1).uniform(size=IMAGE.shape).astype(np.float32)
    tested = [key for key in keys(unit_range=rule) if key not in OTHER_INPUTS]
    assert len(tested) > 4
    for key in tested:
        rest, attributes = CALLS.get(key, ([], {}))
        if rule == "all inputs":
            rest = [image[::-1].copy()]
        output = compute(key, image, *rest, **attributes)
        assert output.size, key
        assert ((output >= 0) & (output <= 1)).all(), key


@pytest.mark.parametrize(
    "key", [k for k in keys(linearity="linear") + keys(linearity="layer") if k not in OTHER_INPUTS]
)
def test_linear_operators_are_affine(key: Key) -> None:
    rest, attributes = CALLS.get(key, ([], {}))
    rest = STORED_OPERAND.get(key, rest)
    one, other = IMAGE, np.roll(IMAGE, 1, axis=0) ** 2
    between = compute(key, 0.25 * one + 0.75 * other, *rest, **attributes)
    ends = [compute(key, x, *rest, **attributes) for x in (one, other)]
    np.testing.assert_allclose(between, 0.25 * ends[0] + 0.75 * ends[1], rtol=1e-4, atol=1e-4)


def test_what_bends_is_not_called_linear() -> None:
    for name in ("Relu", "Sigmoid", "Tanh", "MaxPool", "Softmax", "Erf", "Abs", "Min"):
        assert TRAITS["", name].linearity not in ("linear", "layer")


@pytest.mark.parametrize("key", keys(channels="kept") + keys(channels="reduced"))
def test_permuted_channels_come_out_permuted(key: Key) -> None:
    order = [3, 0, 4, 1, 2]
    # Batch normalisation treats channels alike where what it stores for them is alike.
    np.testing.assert_allclose(call(key, IMAGE[:, order]), call(key, IMAGE)[:, order], rtol=1e-6)


@pytest.mark.parametrize("key", keys(channels="kept") + keys(channels="reduced"))
def test_a_channel_depends_on_itself_alone(key: Key) -> None:
    is_pooling = "Pool" in key[1] or key in keys(channels="reduced")
    for image in (IMAGE,) if is_pooling else (IMAGE, IMAGE[:, :, 0, 0]):
        changed = image.copy()
        changed[:, 2] *= -0.3
        before, after = call(key, image), call(key, changed)
        np.testing.assert_array_equal(np.delete(before, 2, axis=1), np.delete(after, 2, axis=1))
        assert (before[:, 2] != after[:, 2]).any()


@pytest.mark.parametrize("key", keys(channels="joined"))
@pytest.mark.parametrize("shape", [(2, 5, 4, 4), (2, 1, 4, 4), (2, 5, 1, 1)])
def test_two_operands_are_joined_channel_by_channel(key: Key, shape: tuple[int, ...]) -> None:
    order = [3, 0, 4, 1, 2]
    other = np.random.default_rng(2).uniform(1, 2, size=shape).astype(np.float32)
    permuted = other[:, order] if shape[1] > 1 else other
    np.testing.assert_array_equal(compute(key, IMAGE[:, order], permuted), compute(key, IMAGE, other)[:, order])
