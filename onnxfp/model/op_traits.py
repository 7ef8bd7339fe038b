"""Facts about ONNX operators: one row for each operator, read by every module that asks.

A row holds the facts themselves, and no module keeps a set of operator names beside it. What belongs to one algorithm
stays with that algorithm: a pattern of nodes that it looks for, an attribute that it reads.

A fact that is not known of an operator has the default of its field, and :func:`find_traits` gives the defaults for an
operator without a row. The defaults are on the careful side: an unknown operator has no weights, is not linear, bounds
nothing and may mix channels. Two defaults assert something, so the table must be complete in them. An operator that is
not :attr:`~OpTraits.is_random` is computed once where its inputs are constant. A graph in which no operator
:attr:`~OpTraits.rounds` is held to a narrower tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

_ONNX_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class IntegerWeight:
    """The stored integer weight of a quantised layer.

    Attributes:
        position: Input that holds the weight.
        zero_point: Input that holds its zero points. The graph may omit it.
        axis: Axis of the weight along which zero points lie, where there are several. Negative from the end.
    """

    position: int
    zero_point: int
    axis: int


@dataclass(frozen=True, slots=True)
class OpTraits:
    """What is known of one ONNX operator, in every version of its definition.

    Attributes:
        weight_inputs: Inputs that hold trained floating-point weights, biases, scales or shifts, by position. The order
            of inputs is the schema's. Running statistics are not among them. Empty by default: nothing is perturbed.
        matrix_inputs: Those of ``weight_inputs`` that hold filters or matrices, of two axes or more. Empty by default:
            nothing is pruned or trained.
        layer: The kind of layer, where ``matrix_inputs`` have output channels at a fixed place.
            ``"convolution"``: the first axis of the filter. ``"transposed convolution"``: the second axis.
            ``"affine"``: the second axis of input 1, or the first with ``transB``; a bias may follow.
            ``"product"``: the last axis of input 1, or the last but one with ``transB``. ``None``: no such layer.
        integer_weight: Where a quantised layer stores its weight as integers, else ``None``.
        takes_levels: Whether its torch function takes floats that stand for integers. By default it is computed twice:
            on the integers for the values, and on the floats for the gradient. ``Cast`` keeps the two apart by itself,
            and branches and loops leave that to their own nodes.
        rounds: Whether it rounds to integers on its way, so that two orders of summation may end on different ones.
        is_random: Whether two runs in inference may differ, so that it is never computed ahead of time. ``Dropout`` is
            not random there, and branches and loops are as random as the nodes in them.
        linearity: ``"layer"``: a linear layer. ``"linear"``: leaves an affine map affine, up to rounding. Products and
            quotients of two computed values count as linear. ``"reading"``: reads classes or probabilities from the
            values of a linear map. ``None``: any other, so that the model does not count as linear.
        unit_range: When all of its outputs are in ``[0, 1]``. ``"always"``: for any input. ``"first input"``: if its
            first input is, because it gives those values, or values between them. ``"all inputs"``: if all inputs are.
            Integers of a quantiser count as the values that they stand for. ``None``: not known.
        channels: What it does to channels, on axis 1 of an image or of features. ``"kept"``: treats every channel of
            its first input alike and for itself. ``"joined"``: combines two inputs channel by channel, one of which may
            broadcast. ``"reduced"``: reduces over axes; kept if the channels are not among them. ``None``: may mix
            channels, and pins their order.
    """

    weight_inputs: tuple[int, ...] = ()
    matrix_inputs: tuple[int, ...] = ()
    layer: Literal["convolution", "transposed convolution", "affine", "product"] | None = None
    integer_weight: IntegerWeight | None = None
    takes_levels: bool = False
    rounds: bool = False
    is_random: bool = False
    linearity: Literal["layer", "linear", "reading"] | None = None
    unit_range: Literal["always", "first input", "all inputs"] | None = None
    channels: Literal["kept", "joined", "reduced"] | None = None


_ONNX = {
    "Abs": OpTraits(),
    "Acos": OpTraits(),
    "Acosh": OpTraits(),
    "Add": OpTraits(linearity="linear", channels="joined"),
    "AffineGrid": OpTraits(),
    "And": OpTraits(),
    "ArgMax": OpTraits(linearity="reading"),
    "ArgMin": OpTraits(),
    "Asin": OpTraits(),
    "Asinh": OpTraits(),
    "Atan": OpTraits(),
    "Atanh": OpTraits(),
    # Input 1 is the keys. A graph may store them, and the values.
    "Attention": OpTraits(weight_inputs=(1, 2), matrix_inputs=(1,)),
    "AveragePool": OpTraits(linearity="linear", unit_range="first input", channels="kept"),
    "BatchNormalization": OpTraits(weight_inputs=(1, 2), linearity="linear", channels="kept"),
    "Bernoulli": OpTraits(is_random=True),
    "BitShift": OpTraits(),
    "BitwiseAnd": OpTraits(),
    "BitwiseNot": OpTraits(),
    "BitwiseOr": OpTraits(),
    "BitwiseXor": OpTraits(),
    "Cast": OpTraits(takes_levels=True, linearity="linear", unit_range="first input"),
    "CastLike": OpTraits(takes_levels=True, linearity="linear", unit_range="first input"),
    "Ceil": OpTraits(rounds=True),
    "Celu": OpTraits(),
    "CenterCropPad": OpTraits(),
    "Clip": OpTraits(linearity="reading", channels="kept"),
    "Compress": OpTraits(),
    "Concat": OpTraits(linearity="linear", unit_range="all inputs"),
    "ConcatFromSequence": OpTraits(),
    "Constant": OpTraits(linearity="linear"),
    "ConstantOfShape": OpTraits(linearity="linear"),
    "Conv": OpTraits(weight_inputs=(1, 2), matrix_inputs=(1,), layer="convolution", linearity="layer"),
    "ConvInteger": OpTraits(integer_weight=IntegerWeight(1, zero_point=3, axis=0), takes_levels=True),
    "ConvTranspose": OpTraits(weight_inputs=(1, 2), matrix_inputs=(1,), layer="transposed convolution"),
    "Cos": OpTraits(),
    "Cosh": OpTraits(),
    "CumProd": OpTraits(),
    "CumSum": OpTraits(),
    "DepthToSpace": OpTraits(),
    "DequantizeLinear": OpTraits(takes_levels=True, linearity="linear", unit_range="first input"),
    "Det": OpTraits(),
    "Div": OpTraits(linearity="linear", channels="joined"),
    "Dropout": OpTraits(linearity="linear", unit_range="first input", channels="kept"),
    "DynamicQuantizeLinear": OpTraits(rounds=True),
    "Einsum": OpTraits(weight_inputs=(0, 1, 2), matrix_inputs=(0, 1, 2), linearity="layer"),
    "Elu": OpTraits(channels="kept"),
    "Equal": OpTraits(),
    "Erf": OpTraits(channels="kept"),
    "Exp": OpTraits(linearity="reading"),
    "Expand": OpTraits(linearity="linear", unit_range="first input"),
    "EyeLike": OpTraits(),
    "Flatten": OpTraits(linearity="linear", unit_range="first input"),
    "Floor": OpTraits(rounds=True),
    "GRU": OpTraits(weight_inputs=(1, 2, 3), matrix_inputs=(1, 2)),
    "Gather": OpTraits(linearity="linear", unit_range="first input"),
    "GatherElements": OpTraits(unit_range="first input"),
    "GatherND": OpTraits(unit_range="first input"),
    "Gelu": OpTraits(),
    "Gemm": OpTraits(weight_inputs=(0, 1, 2), matrix_inputs=(0, 1), layer="affine", linearity="layer"),
    "GlobalAveragePool": OpTraits(linearity="linear", unit_range="first input", channels="kept"),
    "GlobalLpPool": OpTraits(),
    "GlobalMaxPool": OpTraits(unit_range="first input", channels="kept"),
    "Greater": OpTraits(linearity="reading"),
    "GreaterOrEqual": OpTraits(),
    "GridSample": OpTraits(),
    "GroupNormalization": OpTraits(weight_inputs=(1, 2)),
    "HardSigmoid": OpTraits(linearity="reading", unit_range="always", channels="kept"),
    "HardSwish": OpTraits(channels="kept"),
    "Hardmax": OpTraits(linearity="reading", unit_range="always"),
    "Identity": OpTraits(linearity="linear", unit_range="first input", channels="kept"),
    "If": OpTraits(takes_levels=True),
    "InstanceNormalization": OpTraits(weight_inputs=(1, 2)),
    "IsInf": OpTraits(),
    "IsNaN": OpTraits(),
    "LRN": OpTraits(),
    "LSTM": OpTraits(weight_inputs=(1, 2, 3), matrix_inputs=(1, 2)),
    "LayerNormalization": OpTraits(weight_inputs=(1, 2)),
    "LeakyRelu": OpTraits(channels="kept"),
    "Less": OpTraits(linearity="reading"),
    "LessOrEqual": OpTraits(),
    "Log": OpTraits(linearity="reading"),
    "LogSoftmax": OpTraits(linearity="reading"),
    "Loop": OpTraits(takes_levels=True),
    "LpNormalization": OpTraits(),
    "LpPool": OpTraits(),
    "MatMul": OpTraits(weight_inputs=(0, 1), matrix_inputs=(0, 1), layer="product", linearity="layer"),
    "MatMulInteger": OpTraits(integer_weight=IntegerWeight(1, zero_point=3, axis=-1), takes_levels=True),
    "Max": OpTraits(linearity="reading", unit_range="all inputs", channels="joined"),
    "MaxPool": OpTraits(unit_range="first input", channels="kept"),
    "Mean": OpTraits(linearity="linear", unit_range="all inputs"),
    "MeanVarianceNormalization": OpTraits(),
    "Min": OpTraits(unit_range="all inputs", channels="joined"),
    "Mish": OpTraits(),
    "Mod": OpTraits(),
    "Mul": OpTraits(linearity="linear", unit_range="all inputs", channels="joined"),
    "Multinomial": OpTraits(is_random=True),
    "Neg": OpTraits(linearity="linear"),
    "NonZero": OpTraits(),
    "Not": OpTraits(),
    "OneHot": OpTraits(),
    "Optional": OpTraits(),
    "OptionalGetElement": OpTraits(),
    "OptionalHasElement": OpTraits(),
    "Or": OpTraits(),
    "PRelu": OpTraits(weight_inputs=(1,)),
    "Pad": OpTraits(linearity="linear"),
    "Pow": OpTraits(),
    "QLinearConv": OpTraits(integer_weight=IntegerWeight(3, zero_point=5, axis=0), takes_levels=True, rounds=True),
    "QLinearMatMul": OpTraits(integer_weight=IntegerWeight(3, zero_point=5, axis=-1), takes_levels=True, rounds=True),
    "QuantizeLinear": OpTraits(rounds=True, linearity="linear", unit_range="first input"),
    "RMSNormalization": OpTraits(weight_inputs=(1,)),
    "RNN": OpTraits(weight_inputs=(1, 2, 3), matrix_inputs=(1, 2)),
    "RandomNormal": OpTraits(is_random=True),
    "RandomNormalLike": OpTraits(is_random=True),
    "RandomUniform": OpTraits(is_random=True),
    "RandomUniformLike": OpTraits(is_random=True),
    "Range": OpTraits(),
    "Reciprocal": OpTraits(linearity="reading"),
    "ReduceL1": OpTraits(),
    "ReduceL2": OpTraits(),
    "ReduceLogSum": OpTraits(),
    "ReduceLogSumExp": OpTraits(linearity="reading"),
    "ReduceMax": OpTraits(linearity="reading", unit_range="first input", channels="reduced"),
    "ReduceMean": OpTraits(linearity="linear", unit_range="first input", channels="reduced"),
    "ReduceMin": OpTraits(unit_range="first input"),
    "ReduceProd": OpTraits(),
    "ReduceSum": OpTraits(linearity="linear"),
    "ReduceSumSquare": OpTraits(),
    "Relu": OpTraits(unit_range="first input", channels="kept"),
    "Reshape": OpTraits(linearity="linear", unit_range="first input"),
    "Resize": OpTraits(),
    "ReverseSequence": OpTraits(),
    "RotaryEmbedding": OpTraits(),
    "Round": OpTraits(rounds=True),
    "Scan": OpTraits(takes_levels=True),
    "Scatter": OpTraits(),
    "ScatterElements": OpTraits(),
    "ScatterND": OpTraits(),
    "Selu": OpTraits(channels="kept"),
    "SequenceAt": OpTraits(),
    "SequenceConstruct": OpTraits(),
    "SequenceEmpty": OpTraits(),
    "SequenceErase": OpTraits(),
    "SequenceInsert": OpTraits(),
    "SequenceLength": OpTraits(),
    "Shape": OpTraits(linearity="linear"),
    "Shrink": OpTraits(),
    "Sigmoid": OpTraits(linearity="reading", unit_range="always", channels="kept"),
    "Sign": OpTraits(),
    "SimplifiedLayerNormalization": OpTraits(weight_inputs=(1,)),
    "Sin": OpTraits(),
    "Sinh": OpTraits(),
    "Size": OpTraits(),
    "Slice": OpTraits(linearity="linear", unit_range="first input"),
    "Softmax": OpTraits(linearity="reading", unit_range="always"),
    "Softplus": OpTraits(channels="kept"),
    "Softsign": OpTraits(),
    "SpaceToDepth": OpTraits(),
    "Split": OpTraits(linearity="linear", unit_range="first input"),
    "SplitToSequence": OpTraits(),
    "Sqrt": OpTraits(),
    "Squeeze": OpTraits(linearity="linear", unit_range="first input"),
    "Sub": OpTraits(linearity="linear", channels="joined"),
    "Sum": OpTraits(linearity="linear"),
    "SwiGLU": OpTraits(),
    "Swish": OpTraits(),
    "Tan": OpTraits(),
    "Tanh": OpTraits(channels="kept"),
    "ThresholdedRelu": OpTraits(),
    "Tile": OpTraits(unit_range="first input"),
    "TopK": OpTraits(linearity="reading"),
    "Transpose": OpTraits(linearity="linear", unit_range="first input"),
    "Trilu": OpTraits(),
    "Unsqueeze": OpTraits(linearity="linear", unit_range="first input"),
    "Upsample": OpTraits(),
    "Where": OpTraits(linearity="reading"),
    "Xor": OpTraits(),
}

_ML = {
    "ArrayFeatureExtractor": OpTraits(linearity="reading"),
    "Binarizer": OpTraits(),
    "FeatureVectorizer": OpTraits(linearity="linear"),
    "Imputer": OpTraits(),
    "LinearClassifier": OpTraits(linearity="layer"),
    "LinearRegressor": OpTraits(linearity="layer"),
    "Normalizer": OpTraits(linearity="reading"),
    "Scaler": OpTraits(linearity="linear"),
    "ZipMap": OpTraits(linearity="reading"),
}

# Operators of onnxruntime's own. Some have the name of one of ONNX's, and facts of their own.
_MICROSOFT = {
    "Attention": OpTraits(weight_inputs=(1, 2), matrix_inputs=(1,)),
    "BiasAdd": OpTraits(),
    "BiasGelu": OpTraits(),
    "DequantizeLinear": OpTraits(takes_levels=True, linearity="linear", unit_range="first input"),
    "DynamicQuantizeMatMul": OpTraits(
        integer_weight=IntegerWeight(1, zero_point=3, axis=-1), takes_levels=True, rounds=True
    ),
    "FastGelu": OpTraits(),
    "FusedConv": OpTraits(weight_inputs=(1, 2), matrix_inputs=(1,), layer="convolution"),
    "FusedGemm": OpTraits(weight_inputs=(0, 1, 2), matrix_inputs=(0, 1), layer="affine"),
    "FusedMatMul": OpTraits(weight_inputs=(0, 1), matrix_inputs=(0, 1), layer="product"),
    "GatherND": OpTraits(unit_range="first input"),
    "Gelu": OpTraits(),
    "MatMulIntegerToFloat": OpTraits(integer_weight=IntegerWeight(1, zero_point=5, axis=-1), takes_levels=True),
    "MultiHeadAttention": OpTraits(),
    "NhwcMaxPool": OpTraits(),
    "Pad": OpTraits(linearity="linear"),
    "QGemm": OpTraits(integer_weight=IntegerWeight(3, zero_point=5, axis=-1), takes_levels=True, rounds=True),
    "QLinearAdd": OpTraits(takes_levels=True, rounds=True),
    "QLinearAveragePool": OpTraits(takes_levels=True, rounds=True),
    "QLinearConcat": OpTraits(takes_levels=True, rounds=True),
    "QLinearGlobalAveragePool": OpTraits(takes_levels=True, rounds=True),
    "QLinearLeakyRelu": OpTraits(takes_levels=True, rounds=True),
    "QLinearMul": OpTraits(takes_levels=True, rounds=True),
    "QLinearSigmoid": OpTraits(takes_levels=True, rounds=True, unit_range="always"),
    "QLinearSoftmax": OpTraits(takes_levels=True, rounds=True, unit_range="always"),
    "QuantizeLinear": OpTraits(rounds=True, linearity="linear", unit_range="first input"),
    "QuickGelu": OpTraits(),
    "RMSNormalization": OpTraits(weight_inputs=(1,)),
    "SimplifiedLayerNormalization": OpTraits(weight_inputs=(1,)),
    "SkipLayerNormalization": OpTraits(weight_inputs=(2, 3, 4)),
}

TRAITS: Mapping[tuple[str, str], OpTraits] = MappingProxyType(
    {
        (domain, op_type): traits
        for domain, rows in (("", _ONNX), ("ai.onnx.ml", _ML), ("com.microsoft", _MICROSOFT))
        for op_type, traits in rows.items()
    }
)
"""Every row by domain and operator. ONNX's own domain is the empty one."""

_UNKNOWN = OpTraits()


def find_traits(domain: str, op_type: str) -> OpTraits:
    """Return what is known of an operator; the defaults of :class:`OpTraits` for one without a row.

    Args:
        domain: Domain of the node, empty or ``ai.onnx`` for ONNX's own operators.
        op_type: ONNX operator.

    >>> find_traits("", "Conv").weight_inputs
    (1, 2)
    >>> find_traits("org.example", "Conv") == OpTraits()
    True
    """
    return TRAITS.get(("" if domain in _ONNX_DOMAINS else domain, op_type), _UNKNOWN)
