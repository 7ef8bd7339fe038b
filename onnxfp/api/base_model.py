"""The owner's model as a fingerprint describes it, and the grid of its input."""

from __future__ import annotations

from dataclasses import replace

from onnxfp.bundle.manifest import BaseModel
from onnxfp.errors import ContractError, ParameterError
from onnxfp.model.io_contract import channel_axis, spatial_axes
from onnxfp.runtime.session import ModelSession
from onnxfp.types import Bounds, InputGrid


def base_model(session: ModelSession) -> BaseModel:
    """Return what a manifest says of the base.

    Raises:
        ContractError: It gives labels only, or a name that cannot be printed.
    """
    n_classes = session.output.n_classes
    if n_classes is None:
        raise ContractError(
            f"{session.model.path}: output {session.output.name!r} holds labels; scores are needed to craft examples",
            hint="export the model with its logits or probabilities as an output",
        )
    for name in (session.input.name, session.output.name):
        if not name.isprintable():
            raise ContractError(
                f"{session.model.path}: the name {name!r} holds characters that cannot be printed, nor signed",
                hint="export the model with plain names for its input and output",
            )
    return BaseModel(session.model.digest, n_classes, session.input, session.output, spatial_axes(session.input.layout))


def choose_grid(session: ModelSession, grid: InputGrid | None) -> InputGrid:
    """Return the owner's grid, along the axis where this model has its channels, or the default.

    Raises:
        ParameterError: There is neither a grid nor a natural range.
    """
    if grid is None:
        return default_grid(session)
    return replace(grid, channel_axis=channel_axis(session.input.layout))


def default_grid(session: ModelSession) -> InputGrid:
    """Return the grid of a model whose owner says nothing about its input.

    Raises:
        ParameterError: The input is no image, and so has no natural range.
    """
    spec = session.input
    if spec.layout not in ("NCHW", "NHWC"):
        raise ParameterError(
            f"{session.model.path}: input {spec.name!r} of shape {spec.shape} is no image, and has no natural range",
            hint="give the range of its values, for example --bounds -3 3",
        )
    upper = 255.0 if spec.dtype == "uint8" else 1.0
    return InputGrid(Bounds(0.0, upper), channel_axis=channel_axis(spec.layout))
