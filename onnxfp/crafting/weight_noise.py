"""Weight noise: the gradient is taken on a model whose parameters are perturbed within delta.

A large model has more weights than an example has activations, and a generator is slower than memory: so numbers are
drawn once, into a pool, and every tensor takes them from a place of its own that is drawn anew for each pass.

References:
    Noise bounded by delta on the parameters, gradient mean over draws: Wang et al., arXiv:2105.07078. Measuring
    delta relative to each tensor's root mean square is this project's choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

# Numbers in the pool: 16 times the weights, so that draws hardly overlap, within what stays in a cache.
_POOL_SHARE, _MIN_POOL, _MAX_POOL = 16, 2**16, 2**22
# A longer tensor takes its numbers in pieces, each from a place of its own.
_PIECE = 2**20


class WeightNoise:
    """Draws uniform noise on weights, and puts the exact originals back.

    Args:
        weights: The parameters to perturb; only floating-point ones.
        noise: Half-width delta, relative to each tensor's root mean square.
        generator: Source of randomness, on the weights' device.
    """

    def __init__(self, weights: Iterable[Tensor], noise: float, generator: torch.Generator) -> None:
        self._weights = [w for w in weights if noise > 0 and w.numel()]
        self._originals = [w.detach() for w in self._weights]
        self._noisy = [torch.empty_like(_dense(original)) for original in self._originals]
        self._generator = generator
        widths = [noise * float(original.square().mean().sqrt()) for original in self._originals]
        self._pieces = [
            (clean, noisy, width)
            for original, buffer, width in zip(self._originals, self._noisy, widths, strict=True)
            for clean, noisy in zip(_pieces(_dense(original)), _pieces(buffer), strict=True)
        ]
        n_weights = sum(original.numel() for original in self._originals)
        longest = max((len(clean) for clean, _, _ in self._pieces), default=0)
        self._n_places = max(_MIN_POOL, min(_POOL_SHARE * n_weights, _MAX_POOL) - longest)
        if self._pieces:
            dtype, device = self._originals[0].dtype, self._originals[0].device
            self._pool = torch.empty(self._n_places + longest, dtype=dtype, device=device)
            self._pool.uniform_(-1.0, 1.0, generator=generator)

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """Perturb the weights inside the ``with`` block; they are restored bit for bit on the way out."""
        if self._pieces:
            device = self._pool.device
            places = torch.randint(self._n_places, (len(self._pieces),), generator=self._generator, device=device)
            for (clean, noisy, width), place in zip(self._pieces, places.tolist(), strict=True):
                torch.add(clean, self._pool[place : place + len(clean)], alpha=width, out=noisy)
        try:
            for weight, noisy in zip(self._weights, self._noisy, strict=True):
                weight.data = noisy
            yield
        finally:
            for weight, original in zip(self._weights, self._originals, strict=True):
                weight.data = original


def _dense(weight: Tensor) -> Tensor:
    """Return the weight, or a copy of it, without gaps in memory."""
    is_dense = weight.is_contiguous() or (weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last))
    return weight if is_dense else weight.contiguous()


def _pieces(weight: Tensor) -> tuple[Tensor, ...]:
    """Return a dense weight's values in the order of memory, a piece at a time."""
    return torch.split(weight.as_strided((weight.numel(),), (1,)), _PIECE)
