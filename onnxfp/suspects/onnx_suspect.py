"""A suspect in an ONNX file: the bundle's examples, put in the form that its own input takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import ContractError
from onnxfp.model.io_contract import channel_axis
from onnxfp.runtime.session import Answers, ModelSession, to_element_type
from onnxfp.types import InputGrid, InputSpec, Levels, ModelInput


class OnnxSuspect:
    """One suspect, ready to be shown a bundle's examples.

    A thief may well have changed how images are fed: axes transposed to NHWC, bytes instead of floats, the
    normalisation moved out of the graph or into it. The first two are seen from the graph; the last is not, so
    the suspect's own bounds, mean and standard deviation can be given.

    Args:
        session: The open model.
        base_input: The input that the examples were crafted for.
        grid: The grid of the examples.
        suspect_grid: Bounds and normalisation of the suspect's input where they differ from the base's.

    Raises:
        ContractError: The suspect's input takes examples of another shape.
    """

    def __init__(
        self, session: ModelSession, base_input: InputSpec, grid: InputGrid, suspect_grid: InputGrid | None = None
    ) -> None:
        self.session = session
        self._axes = _axes_between(session, base_input)
        own = suspect_grid or _natural_grid(session.input, base_input, grid)
        self._grid = replace(own, channel_axis=channel_axis(session.input.layout))

    def answer(self, levels: Levels) -> Answers:
        """Ask the suspect.

        Args:
            levels: ``(n, *shape)`` grid levels in the base's axis order.

        Returns:
            The answers in the same order.

        Raises:
            SuspectError: The suspect failed while it ran.
        """
        # Batch by batch: as floating-point numbers all of them take four times the memory of the bundle.
        size = self.session.batch_size
        parts = [
            self.session.answer(self._adapt(levels[first : first + size])) for first in range(0, len(levels), size)
        ]
        scores = [part.scores for part in parts if part.scores is not None]
        return Answers(np.concatenate([part.labels for part in parts]), np.concatenate(scores) if scores else None)

    def feed(self, levels: Levels) -> NDArray[Any]:
        """Return the values that the suspect is fed, in its own element type and order of axes.

        Args:
            levels: ``(n, *shape)`` grid levels in the base's axis order.
        """
        return to_element_type(self._adapt(levels), self.session.input.dtype)

    @property
    def grid(self) -> InputGrid:
        """The grid by which levels become the suspect's input."""
        return self._grid

    def _adapt(self, levels: Levels) -> ModelInput:
        moved = np.ascontiguousarray(np.transpose(levels, (0, *(axis + 1 for axis in self._axes))))
        return self._grid.to_model_input(moved)


def _axes_between(session: ModelSession, base: InputSpec) -> tuple[int, ...]:
    """Return the order in which the base's axes stand in the suspect's input."""
    own = session.input
    same = tuple(range(len(base.shape)))
    if own.shape == base.shape:
        return same
    axes = same
    if sorted(own.layout) == sorted(base.layout):
        axes = tuple(base.layout.index(letter) - 1 for letter in own.layout[1:])
    if len(own.shape) != len(base.shape) or tuple(base.shape[axis] for axis in axes) != own.shape:
        raise ContractError(
            f"{session.model.path}: input {own.name!r} takes examples of shape {own.shape}, the fingerprint's have "
            f"{base.shape}",
            hint="a model for other inputs cannot be asked these examples; is it the right suspect?",
        )
    return axes


def _natural_grid(own: InputSpec, base: InputSpec, grid: InputGrid) -> InputGrid:
    """Return the grid that the suspect's element type suggests: an image model that takes bytes takes [0, 255]."""
    takes_bytes = own.dtype == "uint8" and grid.n_levels == 256
    if takes_bytes and base.dtype != "uint8":
        return InputGrid(replace(grid.bounds, lower=0.0, upper=255.0), grid.n_levels)
    return grid
