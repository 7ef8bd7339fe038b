"""Where the descent's gradient comes from: the torch copy, or queries to the model itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.crafting.high_pass import low_pass
from onnxfp.crafting.input_transforms import Transformations, unchanged
from onnxfp.crafting.micro_batch import MicroBatch
from onnxfp.crafting.weight_noise import WeightNoise
from onnxfp.recipe.derivation import DerivationContext

Score = Callable[[Tensor], Tensor]
"""``(n, *shape)`` model input to ``(n, n_classes)`` scores."""

Penalty = Callable[[Tensor, Tensor], Tensor]
"""``(n, *shape)`` model input and ``(n,)`` labels to ``(n,)`` penalties; see :func:`measure_agreement`."""


class OfScores(Protocol):
    """A loss or penalty of scores; see :func:`compute_loss` and :func:`measure_agreement`."""

    def __call__(self, scores: Tensor, labels: Tensor, *, gives_probabilities: bool) -> Tensor:
        """Return one number for each example, ``(n,)``."""
        ...


def compute_loss(scores: Tensor, labels: Tensor, *, gives_probabilities: bool) -> Tensor:
    """Return the cross-entropy of each example, ``(n,)``, in nats.

    Args:
        scores: ``(n, n_classes)`` logits or probabilities.
        labels: ``(n,)`` int64.
        gives_probabilities: Whether the scores are probabilities (their logarithm is taken).
    """
    if gives_probabilities:
        return F.nll_loss(scores.clamp_min(1e-30).log(), labels, reduction="none")
    return F.cross_entropy(scores, labels, reduction="none")


def measure_agreement(scores: Tensor, labels: Tensor, *, gives_probabilities: bool) -> Tensor:
    """Return the penalty of each example that a model gives its label, ``(n,)``: minus the logarithm of the rest.

    Zero where the model does not give the label at all, so that it pulls at no example more than it must.

    Args:
        scores: ``(n, n_classes)`` logits or probabilities.
        labels: ``(n,)`` int64.
        gives_probabilities: Whether the scores are probabilities.
    """
    probabilities = scores if gives_probabilities else scores.softmax(dim=1)
    return -torch.log1p(-probabilities.gather(1, labels[:, None])[:, 0].clamp(0.0, 1 - 1e-6))


def affine_tensors(context: DerivationContext, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ``(scale, offset)`` with ``model input = unit value * scale + offset``, as float32 tensors."""
    scale, offset = (torch.as_tensor(a, dtype=torch.float32, device=device) for a in context.grid.affine(context.shape))
    return scale, offset


class GradientSource(Protocol):
    """Gives the gradient of the loss with respect to unit values."""

    def __call__(
        self, examples: Tensor, labels: Tensor, noise: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return ``(n, *shape)`` gradients and ``(n,)`` losses.

        Args:
            examples: ``(n, *shape)`` unit values.
            labels: ``(n,)`` int64 labels to reach.
            noise: Weight noise delta in force.
            generator: Source of randomness, on the examples' device.
        """
        ...


class CopyGradient:
    """Backpropagation through the torch copy, averaged over draws of weight noise (RC, LTRC) and of inputs (EOT).

    Args:
        score: The copy's scores.
        weights: Its weights, which are perturbed.
        scale: ``model input = unit value * scale + offset``; broadcasts against one example.
        offset: See ``scale``.
        n_draws: Draws q in each step.
        gives_probabilities: Whether the scores are probabilities.
        passes: How many examples go through the copy at once; all of them by default.
        transformations: What happens to the inputs; nothing by default. One transformation a draw, for all examples.
        penalties: Those of unassociated models that the examples shall not match; added to the loss.
    """

    def __init__(
        self,
        score: Score,
        weights: Sequence[Tensor],
        scale: Tensor,
        offset: Tensor,
        *,
        n_draws: int,
        gives_probabilities: bool,
        passes: MicroBatch | None = None,
        transformations: Transformations | None = None,
        penalties: Sequence[Penalty] = (),
    ) -> None:
        self._score, self._weights, self._scale, self._offset = score, weights, scale, offset
        self._transformations, self._penalties = transformations, penalties
        self._n_draws, self._gives_probabilities = n_draws, gives_probabilities
        self._passes = passes or MicroBatch(sys.maxsize)
        self._noise: tuple[float, torch.Generator, WeightNoise] | None = None

    def __call__(
        self, examples: Tensor, labels: Tensor, noise: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return ``(n, *shape)`` gradients and ``(n,)`` losses."""
        total, losses = torch.zeros_like(examples), torch.zeros(len(examples), device=examples.device)
        weight_noise = self._weight_noise(noise, generator)

        def own_loss(x: Tensor, labels: Tensor) -> Tensor:
            return compute_loss(self._score(x), labels, gives_probabilities=self._gives_probabilities)

        def compute_gradient(loss_on: Penalty, point: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            loss = loss_on(transform(point) * self._scale + self._offset, labels)
            # Summed, so that an example's gradient does not depend on its batch.
            (gradient,) = torch.autograd.grad(loss.sum(), point)
            return gradient, loss.detach()

        def one_pass(part: slice) -> None:
            point = examples[part].detach().requires_grad_(True)
            gradient, loss = compute_gradient(own_loss, point, labels[part])
            # One model after the other: memory for one is enough. Added at the end, since a pass that memory does not
            # hold is taken again.
            for penalty in self._penalties:
                more, beside = compute_gradient(penalty, point, labels[part])
                gradient, loss = gradient + more, loss + beside
            total[part] += gradient
            losses[part] += loss

        for _ in range(self._n_draws):
            transform = self._transformations.draw(generator) if self._transformations else unchanged
            with weight_noise.perturbed():
                self._passes.run(one_pass, len(examples))
        return total, losses / self._n_draws

    def _weight_noise(self, noise: float, generator: torch.Generator) -> WeightNoise:
        # Made once a batch: it holds a copy of every weight.
        if self._noise is None or self._noise[0] != noise or self._noise[1] is not generator:
            self._noise = (noise, generator, WeightNoise(self._weights, noise, generator))
        return self._noise[2]


class QueryGradient:
    """Gradients estimated by asking the model itself: for models that cannot be converted, or must not leave a runtime.

    Differences of the loss along random directions, each with its opposite, as in natural evolution strategies
    (Ilyas et al., arXiv:1804.08598); directions have low frequencies only, where gradients of image classifiers
    concentrate (Guo et al., arXiv:1809.08758). Hundreds of times as many passes as a gradient, and a noisy one.

    Args:
        score: The model's scores, through onnxruntime.
        scale: ``model input = unit value * scale + offset``; broadcasts against one example.
        offset: See ``scale``.
        shape: Shape of one example.
        spatial_axes: Axes of one example that have frequencies.
        n_directions: Pairs of queries for each example and step.
        gives_probabilities: Whether the scores are probabilities.
    """

    STEP = 0.01
    """Length of a query's displacement (root mean square), in unit values."""

    def __init__(
        self,
        score: Score,
        scale: Tensor,
        offset: Tensor,
        *,
        shape: tuple[int, ...],
        spatial_axes: tuple[int, ...],
        n_directions: int,
        gives_probabilities: bool,
    ) -> None:
        self._score, self._scale, self._offset = score, scale, offset
        self._n_directions, self._gives_probabilities = n_directions, gives_probabilities
        side = min((shape[axis] for axis in spatial_axes), default=0)
        self._smooth = low_pass(shape, spatial_axes, max(4, side // 4)) if side else None

    def __call__(
        self, examples: Tensor, labels: Tensor, noise: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return ``(n, *shape)`` estimated gradients and ``(n,)`` losses."""
        del noise  # there are no weights to perturb
        total, losses = torch.zeros_like(examples), torch.zeros(len(examples), device=examples.device)
        ones = (1,) * (examples.ndim - 1)
        for _ in range(self._n_directions):
            direction = torch.randn(examples.shape, generator=generator, device=examples.device)
            if self._smooth is not None:
                direction = self._smooth(direction)
            direction /= direction.square().flatten(1).mean(1).sqrt().reshape(-1, *ones)
            step = self.STEP * direction
            ahead, behind = (self._loss(examples + sign * step, labels) for sign in (1, -1))
            total += (ahead - behind).reshape(-1, *ones) * direction
            losses += (ahead + behind) / 2
        return total, losses / self._n_directions

    def _loss(self, units: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            scores = self._score(units * self._scale + self._offset)
        return compute_loss(scores, labels, gives_probabilities=self._gives_probabilities)
