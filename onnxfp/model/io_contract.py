"""What a classifier takes and gives: choosing its input and output, and reading answers of every usual shape."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxfp.errors import ContractError
from onnxfp.limits import MAX_VALUES_PER_EXAMPLE
from onnxfp.model.tensor_info import Tensor
from onnxfp.text import quote_text
from onnxfp.types import InputSpec, Labels, Layout, OutputSpec, Scores

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
_CHANNELS = (1, 2, 3, 4)
_MAX_VALUES_PER_BATCH = 2**27
_MAX_LISTED = 20

_log = logging.getLogger(__name__)


def choose_input(
    path: Path,
    inputs: Sequence[Tensor],
    name: str | None,
    shape: Sequence[int] | None,
    fixed: Collection[str],
    like: InputSpec | None = None,
) -> InputSpec:
    """Return the input that examples go to.

    Args:
        path: The model file, for messages.
        inputs: Its graph inputs.
        name: The one that is asked for, or ``None``.
        shape: Shape of one example, where the graph leaves axes open.
        fixed: Names of the inputs that are given a constant value.
        like: What the base takes: of several inputs the one of its name, and its shape where axes are open.

    Raises:
        ContractError: There is not exactly one such input, its type holds no numbers, or its shape stays open.
    """
    tensor = _find_free_input(path, inputs, name, fixed, like)
    if tensor.type not in _DTYPES:
        raise ContractError(f"{path}: input {tensor} does not take numbers", hint="give a model that takes a tensor")
    if len(tensor.shape) < 2:
        raise ContractError(f"{path}: input {tensor} has no batch axis", hint="export the model with one")
    batch, *axes = tensor.shape
    if shape is None and like is not None and not all(map(_is_length, axes)):
        # As the base takes them, or with the channels on the other side.
        orders = (like.shape, like.shape[1:] + like.shape[:1], like.shape[-1:] + like.shape[:-1])
        shape = next((order for order in orders if _fits(order, axes)), None)
    if shape is not None:
        if not _fits(shape, axes):
            raise ContractError(f"{path}: input {tensor} does not take examples of shape {tuple(shape)}")
        axes = list(shape)
    if not all(map(_is_length, axes)):
        raise ContractError(
            f"{path}: input {tensor} leaves axes of the example open",
            hint="give them, for example --input-shape 3,224,224",
        )
    example = tuple(int(axis) for axis in axes if axis is not None)
    n_batch = batch if isinstance(batch, int) and batch > 0 else 1
    if prod(example) > MAX_VALUES_PER_EXAMPLE or n_batch * prod(example) > _MAX_VALUES_PER_BATCH:
        raise ContractError(
            f"{path}: input {tensor} takes {prod(example)} values an example, {n_batch} at once; at most "
            f"{MAX_VALUES_PER_EXAMPLE} and {_MAX_VALUES_PER_BATCH} in all are allowed",
            hint="export the model with a smaller input or batch",
        )
    return InputSpec(
        name=tensor.name,
        shape=example,
        dtype=_DTYPES[tensor.type],
        layout=_layout(example),
        batch=n_batch if isinstance(batch, int) and batch > 0 else None,
    )


def _find_free_input(
    path: Path, inputs: Sequence[Tensor], name: str | None, fixed: Collection[str], like: InputSpec | None
) -> Tensor:
    """Return the one input that is not fixed, with the arguments of :func:`choose_input`.

    Raises:
        ContractError: There is not exactly one.
    """
    free = [tensor for tensor in inputs if tensor.name not in fixed]
    listing = _listing(inputs)
    if name is None and like is not None and len(free) > 1 and like.name in [tensor.name for tensor in free]:
        name = like.name
    if name is not None:
        free = [tensor for tensor in free if tensor.name == name]
        if not free:
            raise ContractError(f"{path}: there is no input {name!r}; the model has {listing}")
    if len(free) != 1 or any(t.name not in fixed and t.name != free[0].name for t in inputs):
        raise ContractError(
            f"{path}: one input is needed, the model has {listing}",
            hint="choose one with --input and give the others a value with --fix name=value",
        )
    return free[0]


def _is_length(axis: int | str | None) -> bool:
    """Whether an axis has a length, and is not left open by a name or a number below one."""
    return isinstance(axis, int) and axis > 0


def _fits(shape: Sequence[int], axes: Sequence[int | str | None]) -> bool:
    """Whether an example of a shape fits the axes that a graph declares, some of which it may leave open."""
    return len(shape) == len(axes) and all(
        axis == length or not _is_length(axis) for axis, length in zip(axes, shape, strict=True)
    )


def fixed_value(path: Path, inputs: Mapping[str, Tensor], name: str, value: ArrayLike) -> NDArray[Any]:
    """Return the constant for a graph input, in its type and shape; a free first axis (the batch) has length 1.

    Args:
        path: The model file, for messages.
        inputs: The graph inputs by name.
        name: The input.
        value: One number for all of it, or as many as it holds.

    Raises:
        ContractError: There is no such input, or the numbers do not fill it.
    """
    if name not in inputs:
        raise ContractError(
            f"{path}: there is no input {name!r} to fix; the model has {_listing(list(inputs.values()))}"
        )
    tensor = inputs[name]
    shape = [axis if isinstance(axis, int) and axis > 0 else 1 for axis in tensor.shape]
    dtype = np.dtype(bool) if tensor.type == "tensor(bool)" else np.dtype(_DTYPES.get(tensor.type, "float32"))
    if prod(shape) > MAX_VALUES_PER_EXAMPLE:
        raise ContractError(f"{path}: input {tensor} holds {prod(shape)} values; {MAX_VALUES_PER_EXAMPLE} can be fixed")
    array = np.asarray(value, dtype)
    if array.size == 1:
        return np.full(shape, array.reshape(()), dtype)
    if array.size != prod(shape):
        raise ContractError(f"{path}: input {tensor} holds {prod(shape)} values; found {array.size}")
    return array.reshape(shape)


def choose_output(
    path: Path,
    outputs: Sequence[Tensor],
    answers: Sequence[Any],
    n: int,
    name: str | None,
    n_classes: int | None,
    is_probability: Callable[[str], bool] = lambda _: False,
    like: OutputSpec | None = None,
) -> OutputSpec:
    """Return the output that holds the classification.

    Scores are preferred to labels; among several, the first with the expected number of classes.

    Args:
        path: The model file, for messages.
        outputs: Its graph outputs.
        answers: What each of them held after one run on a batch of zeros.
        n: Number of examples in that batch.
        name: The one that is asked for, or ``None``.
        n_classes: Expected number of classes, or ``None``.
        is_probability: Whether single numbers in an output of a name are probabilities; elsewhere they are logits.
        like: What the base gives: of several outputs that fit, the one of its name.

    Raises:
        ContractError: No output is a classification with that many classes.
    """
    listing = _listing(outputs)
    if name is not None and name not in [tensor.name for tensor in outputs]:
        raise ContractError(f"{path}: there is no output {name!r}; the model has {listing}")
    specs = [_classify(tensor, answer, n, is_probability) for tensor, answer in zip(outputs, answers, strict=True)]
    usable = [spec for spec in specs if spec and (name is None or spec.name == name)]
    fitting = [spec for spec in usable if n_classes is None or spec.n_classes in (None, n_classes)]
    if not fitting:
        found = _listing([f"{quote_text(spec.name)} with {spec.n_classes}" for spec in usable])
        wanted = "a classification" if n_classes is None else f"a classification with {n_classes} classes"
        raise ContractError(
            f"{path}: no output holds {wanted}; the model has {listing} (classifications: {found})",
            hint="the model must answer the same question as the base; choose its output with --output-name",
        )
    same = next((spec for spec in fitting if like is not None and spec.name == like.name), None)
    if same is not None:
        return same
    # Several numbers say more than one, and any number more than a label.
    fitting.sort(key=lambda spec: ("scores", "logit", "probability", "labels").index(spec.kind))
    if len(fitting) > 1 and fitting[0].kind == fitting[1].kind:
        _log.warning("%s has several classification outputs; %r is used (--output-name chooses)", path, fitting[0].name)
    return fitting[0]


def read_answer(path: Path, output: OutputSpec, value: Any, n: int) -> tuple[Labels, Scores | None]:
    """Return the labels, and the scores if there are any, that one output value holds.

    Args:
        path: The model file, for messages.
        output: The output that was asked.
        value: What onnxruntime returned.
        n: Number of examples in the batch.

    Returns:
        ``(n,)`` int64 labels, -1 where a score is not finite, and ``(n, n_classes)`` float32 scores or ``None``.

    Raises:
        ContractError: The value's shape does not fit the batch.
    """
    if output.kind == "labels":
        if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.integer) or value.size != n:
            raise ContractError(f"{path}: output {output.name!r} gave {_kind(value)} for {n} labels")
        return value.reshape(-1).astype(np.int64), None
    if isinstance(value, list):
        value = _scores_of_maps(path, output, value)
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
        raise ContractError(f"{path}: output {output.name!r} gave {_kind(value)} instead of scores")
    # A number that is too large for float32 becomes infinite, and so no answer.
    with np.errstate(all="ignore"):
        scores = np.asarray(value, np.float32)
    if output.kind != "scores":
        second = scores.reshape(-1, 1)
        first = -second if output.kind == "logit" else 1 - second
        scores = np.concatenate([first, second], axis=1)
    if n == 1 and scores.ndim == 1:
        scores = scores[None]
    if scores.shape[:1] != (n,) or scores.size != n * (output.n_classes or 0):
        raise ContractError(
            f"{path}: output {output.name!r} has shape {scores.shape}; {(n, output.n_classes)} was expected",
            hint="export the model with a dynamic batch axis, or with batch size 1",
        )
    scores = scores.reshape(n, -1)
    labels = scores.argmax(axis=1).astype(np.int64)
    labels[~np.isfinite(scores).all(axis=1)] = -1
    return labels, scores


def _scores_of_maps(path: Path, output: OutputSpec, value: list[Any]) -> NDArray[Any]:
    """Return the scores in maps from class to score, as scikit-learn's converter writes them; classes ascending."""
    try:
        rows = [[float(scores[key]) for key in sorted(scores)] for scores in value]
        return np.array(rows, np.float64)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ContractError(f"{path}: output {output.name!r} gave maps that hold no scores: {error}") from error


def _kind(value: Any) -> str:
    """Return what a value that was not expected is, in few words."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _listing(tensors: Sequence[Tensor | str]) -> str:
    more = ["..."] if len(tensors) > _MAX_LISTED else []
    return "; ".join([*map(str, tensors[:_MAX_LISTED]), *more]) or "none"


def _classify(tensor: Tensor, answer: Any, n: int, is_probability: Callable[[str], bool]) -> OutputSpec | None:
    """Return what a classification output looks like, or ``None`` for any other tensor."""
    if isinstance(answer, list) and answer and isinstance(answer[0], dict):
        # Maps from class to score.
        return OutputSpec(tensor.name, "scores", len(answer[0])) if len(answer[0]) >= 2 else None
    if not isinstance(answer, np.ndarray) or not answer.size:
        return None
    if np.issubdtype(answer.dtype, np.floating) and answer.size == n:
        return OutputSpec(tensor.name, "probability" if is_probability(tensor.name) else "logit", 2)
    if np.issubdtype(answer.dtype, np.floating):
        # (n, K) or, from fully convolutional heads, (n, K, 1, 1); a single example may come as (K,).
        axes = answer.shape if n == 1 and answer.ndim == 1 else answer.shape[1:]
        n_classes = prod(axes)
        if n_classes >= 2 and n_classes == max(axes):
            return OutputSpec(tensor.name, "scores", n_classes)
    elif np.issubdtype(answer.dtype, np.integer) and answer.size == n:
        return OutputSpec(tensor.name, "labels", None)
    return None


def _layout(shape: tuple[int, ...]) -> Layout:
    is_last = shape[-1] in _CHANNELS and shape[0] not in _CHANNELS
    match len(shape):
        case 1:
            return "NC"
        case 2:
            # A signal has more samples than channels.
            return "NLC" if shape[1] < shape[0] else "NCL"
        case 3:
            return "NHWC" if is_last else "NCHW"
        case 4:
            return "NDHWC" if is_last else "NCDHW"
        case _:
            return "OTHER"


def spatial_axes(layout: Layout) -> tuple[int, ...]:
    """Return the axes of one example along which neighbouring values are alike.

    >>> spatial_axes("NCHW"), spatial_axes("NHWC"), spatial_axes("NC")
    ((1, 2), (0, 1), ())
    """
    letters = "" if layout == "OTHER" else layout[1:]
    return tuple(axis for axis, letter in enumerate(letters) if letter in "DHWL")


def channel_axis(layout: Layout) -> int:
    """Return the axis of one example that holds channels.

    >>> channel_axis("NCHW"), channel_axis("NHWC"), channel_axis("OTHER")
    (0, 2, 0)
    """
    return max(layout.find("C") - 1, 0)
