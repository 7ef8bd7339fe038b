"""The high-pass filter of LTRC examples: the lowest k x k DCT coefficients removed.

References:
    High-pass filtering in the frequency domain lowers transferability: Wang et al., arXiv:2105.07078. The paper's
    exact operator is not known to us; here it is the orthonormal DCT-II along the spatial axes.
"""

from __future__ import annotations

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
        self._projections = [
            (axis + 1, _low_projection(shape[axis], cutoff).to(device)) for axis in spatial_axes if cutoff
        ]

    def __call__(self, signal: torch.Tensor) -> torch.Tensor:
        """Return ``signal`` without its low frequencies.

        Args:
            signal: ``(n, *shape)`` floating point.

        Returns:
            A tensor of the same shape.
        """
        if not self._projections:
            return signal
        low = signal
        for axis, projection in self._projections:
            low = torch.movedim(torch.movedim(low, axis, -1) @ projection, -1, axis)
        return signal - low


def _low_projection(length: int, cutoff: int) -> torch.Tensor:
    position = torch.arange(length, dtype=torch.float64) + 0.5
    frequency = torch.arange(cutoff, dtype=torch.float64)[:, None]
    rows = torch.cos(pi / length * frequency * position) * sqrt(2.0 / length)
    rows[:1] /= sqrt(2.0)
    return (rows.T @ rows).to(torch.float32)
