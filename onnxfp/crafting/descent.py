"""Targeted projected gradient descent: the inner loop of every kind.

Works on *unit* values ``u = q / (n_levels - 1)`` in ``[0, 1]``, where ``q`` is a grid level; the model is fed the
affine image of ``u`` that the grid defines, so the box is always the valid range of the real input.

References:
    C, RC and LTRC examples: Wang et al., arXiv:2105.07078. Only the abstract's statements are the paper's: the
    update rule's details, constant steps and the cross-entropy loss are this project's choice.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from onnxfp.crafting.gradients import GradientSource
from onnxfp.crafting.high_pass import HighPass
from onnxfp.recipe.recipe import Recipe

SETTLED_LOSS, SETTLED_STEPS = 1e-3, 5
"""An example whose loss, under weight noise, was below so many nats for so many steps on end is finished. It is far
inside its class by then: the steps that it is spared changed the match rates of thefts by nothing that can be measured
(benchmarks/SPEED.md)."""

OnStep = Callable[[int, float], None]


class Descent:
    """Pushes seeds towards their labels.

    Args:
        gradient: Where gradients come from.
        recipe: Kind and hyper-parameters.
        epsilon: Half-width of the ball around a seed, in unit values.
        step_size: Length of one sign step, in unit values.
        high_pass: The filter; changes nothing when the recipe's cutoff is 0.
        stops_early: Whether examples that have reached a low loss take no more steps.
    """

    def __init__(
        self,
        gradient: GradientSource,
        *,
        recipe: Recipe,
        epsilon: float,
        step_size: float,
        high_pass: HighPass,
        stops_early: bool = False,
    ) -> None:
        self._gradient, self._recipe, self._high_pass, self._stops_early = gradient, recipe, high_pass, stops_early
        self._epsilon, self._step_size = epsilon, step_size

    def run(
        self, seeds: Tensor, labels: Tensor, *, noise: float, generator: torch.Generator, on_step: OnStep
    ) -> Tensor:
        """Return the examples that the seeds become.

        Args:
            seeds: ``(n, *shape)`` float32 unit values.
            labels: ``(n,)`` int64 labels to reach.
            noise: Weight noise delta in force; may be smaller than the recipe's after adaptation.
            generator: Source of randomness.
            on_step: Called with the number of steps taken and the mean loss, in the last one, of those that took it.

        Returns:
            ``(n, *shape)`` float32 unit values within the ball and the box.
        """
        examples = seeds.clone()
        active = torch.arange(len(seeds), device=seeds.device)
        low_loss_steps = torch.zeros(len(seeds), dtype=torch.int64, device=seeds.device)
        for step in range(self._recipe.n_steps):
            if len(active) == len(seeds):
                part, goal, start = examples, labels, seeds
            else:
                part, goal, start = examples[active], labels[active], seeds[active]
            gradient, losses = self._gradient(part, goal, noise, generator)
            moved = self._project(self._update(part, gradient, start), start)
            if len(active) == len(seeds):
                examples = moved
            else:
                examples[active] = moved
            on_step(step + 1, float(losses.mean()))
            if not self._stops_early:
                continue
            low_loss_steps[active] = torch.where(losses < SETTLED_LOSS, low_loss_steps[active] + 1, 0)
            active = torch.nonzero(low_loss_steps < SETTLED_STEPS).flatten()
            if not len(active):
                break
        return examples

    def _update(self, examples: Tensor, gradient: Tensor, seeds: Tensor) -> Tensor:
        if self._recipe.filtered == "gradient":
            gradient = self._high_pass(gradient)
        # Where a graph overflows on its way (a sigmoid spelled with Exp), the gradient is not a number: no step there.
        moved = examples - self._step_size * gradient.nan_to_num().sign()
        if self._recipe.filtered == "perturbation":
            moved = seeds + self._high_pass(moved - seeds)
        return moved

    def _project(self, examples: Tensor, seeds: Tensor) -> Tensor:
        nearest = torch.minimum(torch.maximum(examples, seeds - self._epsilon), seeds + self._epsilon)
        return nearest.clamp_(0.0, 1.0)
