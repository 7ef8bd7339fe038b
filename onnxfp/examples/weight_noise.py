"""Weight noise: the gradient is taken on a model whose parameters are perturbed within delta.

References:
    Noise bounded by delta on the parameters, gradient mean over draws: Wang et al., arXiv:2105.07078. Measuring
    delta relative to each tensor's root mean square is this project's choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch


class WeightNoise:
    """Draws uniform noise on weights, in place, and puts the exact originals back.

    Args:
        weights: The parameters to perturb; only floating-point ones.
        noise: Half-width delta, relative to each tensor's root mean square.
        generator: Source of randomness, on the weights' device.
    """

    def __init__(self, weights: Iterable[torch.Tensor], noise: float, generator: torch.Generator) -> None:
        self._weights = [w.detach() for w in weights if noise > 0]
        self._originals = [w.clone() for w in self._weights]
        self._widths = [noise * float(w.square().mean().sqrt()) for w in self._weights]
        self._generator = generator

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """Perturb the weights inside the ``with`` block; they are restored bit for bit on the way out."""
        for weight, original, width in zip(self._weights, self._originals, self._widths, strict=True):
            weight.uniform_(-width, width, generator=self._generator).add_(original)
        try:
            yield
        finally:
            for weight, original in zip(self._weights, self._originals, strict=True):
                weight.copy_(original)
