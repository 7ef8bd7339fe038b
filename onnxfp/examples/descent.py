"""Targeted projected gradient descent on the torch copy: the inner loop of every kind.

Works on *unit* values ``u = q / (n_levels - 1)`` in ``[0, 1]``, where ``q`` is a grid level; the model is fed the
affine image of ``u`` that the grid defines, so the box is always the valid range of the real input.

References:
    C, RC and LTRC examples: Wang et al., arXiv:2105.07078. Only the abstract's statements are the paper's: the
    update rule's details, constant steps and the cross-entropy loss are this project's choice.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.examples.high_pass import HighPass
from onnxfp.examples.recipe import Recipe
from onnxfp.examples.weight_noise import WeightNoise

OnStep = Callable[[int, float], None]


class Descent:
    """Pushes seeds towards their labels on one torch copy.

    Args:
        copy: The torch copy: ``(n, *shape)`` model input to ``(n, n_classes)`` scores.
        weights: Its weights, which ``rc`` and ``ltrc`` perturb.
        scale: ``model input = u * scale + offset``; broadcasts against one example.
        offset: See ``scale``.
        recipe: Kind and hyper-parameters.
        epsilon: Half-width of the ball around a seed, in unit values.
        step_size: Length of one sign step, in unit values.
        high_pass: The filter; changes nothing when the recipe's cutoff is 0.
        gives_probabilities: Whether the scores are probabilities already (their logarithm is taken).
    """

    def __init__(
        self,
        copy: Callable[[Tensor], Tensor],
        weights: list[Tensor],
        scale: Tensor,
        offset: Tensor,
        *,
        recipe: Recipe,
        epsilon: float,
        step_size: float,
        high_pass: HighPass,
        gives_probabilities: bool,
    ) -> None:
        self._copy, self._weights = copy, weights
        self._scale, self._offset = scale, offset
        self._recipe, self._epsilon, self._step_size = recipe, epsilon, step_size
        self._high_pass, self._gives_probabilities = high_pass, gives_probabilities

    def run(
        self, seeds: Tensor, labels: Tensor, *, noise: float, generator: torch.Generator, on_step: OnStep
    ) -> Tensor:
        """Return the examples that the seeds become.

        Args:
            seeds: ``(n, *shape)`` float32 unit values.
            labels: ``(n,)`` int64 labels to reach.
            noise: Weight noise delta in force; may be smaller than the recipe's after adaptation.
            generator: Source of the weight noise.
            on_step: Called with the number of steps taken and the mean loss of the last one.

        Returns:
            ``(n, *shape)`` float32 unit values within the ball and the box.
        """
        weight_noise = WeightNoise(self._weights, noise, generator)
        examples = seeds.clone()
        for step in range(self._recipe.n_steps):
            gradient, loss = self._gradient(examples, labels, weight_noise)
            examples = self._project(self._update(examples, gradient, seeds), seeds)
            on_step(step + 1, loss)
        return examples

    def _gradient(self, examples: Tensor, labels: Tensor, weight_noise: WeightNoise) -> tuple[Tensor, float]:
        """Return the loss gradient with respect to the unit values, averaged over the weight noise draws."""
        total = torch.zeros_like(examples)
        loss_sum = 0.0
        for _ in range(self._recipe.n_draws):
            point = examples.detach().requires_grad_(True)
            with weight_noise.perturbed():
                loss = self._loss(self._copy(point * self._scale + self._offset), labels)
                (gradient,) = torch.autograd.grad(loss, point)
            total += gradient
            loss_sum += loss.item()
        return total, loss_sum / self._recipe.n_draws / len(examples)

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        # Summed, so that an example's gradient does not depend on its batch.
        if self._gives_probabilities:
            return F.nll_loss(scores.clamp_min(1e-30).log(), labels, reduction="sum")
        return F.cross_entropy(scores, labels, reduction="sum")

    def _update(self, examples: Tensor, gradient: Tensor, seeds: Tensor) -> Tensor:
        if self._recipe.filtered == "gradient":
            gradient = self._high_pass(gradient)
        moved = examples - self._step_size * gradient.sign()
        if self._recipe.filtered == "perturbation":
            moved = seeds + self._high_pass(moved - seeds)
        return moved

    def _project(self, examples: Tensor, seeds: Tensor) -> Tensor:
        nearest = torch.minimum(torch.maximum(examples, seeds - self._epsilon), seeds + self._epsilon)
        return nearest.clamp_(0.0, 1.0)
