"""The high-pass filter of LTRC examples: the lowest k x k DCT coefficients removed.

References:
    High-pass filtering in the frequency domain lowers transferability: Wang et al., arXiv:2105.07078. The paper's
    exact operator is not known to us; here it is the orthonormal DCT-II along the spatial axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import pi, sqrt

import torch

from onnxfp.errors import ParameterError


class HighPass:
    """Removes the lowest ``cutoff`` frequencies along every spatial axis at once.

    With ``D`` the first ``cutoff`` rows of the orthonormal DCT-II matrix, the low part of a signal is its
    projection ``DᵀD`` along each spatial axis; what remains has exactly the coefficients outside that block.

    Args:
        shape: Shape of one example.
        spatial_axes: Axes of one example to filter along; with none, the filter changes nothing.
        cutoff: Number k of low coefficients removed along each axis, in ``[0, length)``.
        device: Where the signals live.

    Raises:
        ParameterError: ``cutoff`` leaves nothing of an axis.
    """

    def __init__(
        self, shape: tuple[int, ...], spatial_axes: tuple[int, ...], cutoff: int, device: torch.device | str = "cpu"
    ) -> None:
        for axis in spatial_axes:
            if cutoff >= shape[axis]:
                raise ParameterError(
                    f"cutoff {cutoff} removes every frequency of an axis of length {shape[axis]}",
                    hint="half of the resolution is a high value already",
                )
        self._projections = [(axis + 1, _low_rows(shape[axis], cutoff).to(device)) for axis in spatial_axes if cutoff]

    def __call__(self, signal: torch.Tensor) -> torch.Tensor:
        """Return ``signal`` without its low frequencies.

        Args:
            signal: ``(n, *shape)`` floating point.

        Returns:
            A tensor of the same shape.
        """
        return signal - _project(signal, self._projections) if self._projections else signal


def low_pass(
    shape: tuple[int, ...], spatial_axes: tuple[int, ...], cutoff: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the complement of :class:`HighPass`: a function that keeps the lowest frequencies alone.

    Args:
        shape: Shape of one example.
        spatial_axes: Axes of one example to filter along.
        cutoff: Number of low coefficients kept along each axis; all of them where an axis is not longer.
    """
    projections = [(axis + 1, _low_rows(shape[axis], min(cutoff, shape[axis]))) for axis in spatial_axes]

    def apply(signal: torch.Tensor) -> torch.Tensor:
        return _project(signal, [(axis, matrix.to(signal.device)) for axis, matrix in projections])

    return apply


def _project(signal: torch.Tensor, projections: Iterable[tuple[int, torch.Tensor]]) -> torch.Tensor:
    # To the few coefficients of every axis first, and back: their number is small beside the length.
    projections = list(projections)
    for axis, rows in projections:
        signal = torch.movedim(torch.movedim(signal, axis, -1) @ rows.T, -1, axis)
    for axis, rows in reversed(projections):
        signal = torch.movedim(torch.movedim(signal, axis, -1) @ rows, -1, axis)
    return signal


def _low_rows(length: int, cutoff: int) -> torch.Tensor:
    """Return the first rows of the orthonormal DCT-II matrix, ``(cutoff, length)`` float32."""
    position = torch.arange(length, dtype=torch.float64) + 0.5
    frequency = torch.arange(cutoff, dtype=torch.float64)[:, None]
    rows = torch.cos(pi / length * frequency * position) * sqrt(2.0 / length)
    rows[:1] /= sqrt(2.0)
    return rows.to(torch.float32)
