"""An accuser's optimiser: examples on which even models that nobody saw agree, within what a derivation allows.

Targeted iterative sign steps with momentum on the loss of an ensemble (Dong et al., arXiv:1710.06081), each model
seeing its own random resizing and padding in each step (Xie et al., arXiv:1803.06978): the attack of Liu et al.,
arXiv:2304.06607, against ourselves. Where the recorded labels and the ball around the derived seeds are kept, no
verifier can tell such examples from honest ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.crafting.gradients import affine_tensors, measure_agreement
from onnxfp.crafting.loop import seal
from onnxfp.recipe.derivation import DerivationContext, derive_labels, derive_seeds
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import build_torch_copy
from onnxfp.types import Labels, Levels

Score = Callable[[Tensor], Tensor]

_STEPS_ACROSS = 8
"""Steps of this fraction of epsilon, as in the default recipe."""
_PLAIN_SHARE = 0.3
_SMALLEST_SIDE = 0.8
_BATCH = 25


@dataclass(frozen=True, slots=True)
class Attack:
    """What the accuser optimises.

    Attributes:
        attracted: Models that shall give the derived label.
        repelled: Models that shall not: references that the verifier is expected to bring.
        n_steps: Steps.
        momentum: Decay of the accumulated gradient.
    """

    attracted: Sequence[Score]
    repelled: Sequence[Score] = ()
    n_steps: int = 50
    momentum: float = 1.0


def score_of(session: ModelSession) -> Score:
    """Return the differentiable twin of a model."""
    copy = build_torch_copy(
        session.model.load_proto(),
        input_name=session.input.name,
        output_name=session.output.name,
        fixed=session.fixed,
    )
    return copy.score


def craft(attack: Attack, context: DerivationContext, n: int, *, generator: torch.Generator) -> tuple[Levels, Labels]:
    """Return ``n`` examples in their balls, and their derived labels.

    Args:
        attack: What is optimised.
        context: Holds key, base, grid and recipe; for images.
        n: Number of candidates.
        generator: Source of randomness.
    """
    span = context.grid.n_levels - 1
    seeds, labels = derive_seeds(context, range(n)), derive_labels(context, range(n))
    scale, offset = affine_tensors(context, torch.device("cpu"))

    def fed(scores: Sequence[Score]) -> list[Score]:
        return [partial(_score_units, score, scale, offset) for score in scores]

    attack = replace(attack, attracted=fed(attack.attracted), repelled=fed(attack.repelled))
    levels = np.empty_like(seeds)
    for first in range(0, n, _BATCH):
        part = slice(first, first + _BATCH)
        start = torch.as_tensor(seeds[part].astype(np.float32) / span)
        units = _ascend(attack, start, torch.as_tensor(labels[part]), context.recipe.epsilon_levels / span, generator)
        levels[part] = seal(units.numpy(), seeds[part], context)
    return levels, labels


def _ascend(attack: Attack, start: Tensor, labels: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    lower, upper = (start - epsilon).clamp_min(0.0), (start + epsilon).clamp_max(1.0)
    # A ball as wide as the box is crossed in small steps too.
    step = min(epsilon, 32 / 255) / _STEPS_ACROSS
    units, velocity = start.clone(), torch.zeros_like(start)
    for _ in range(attack.n_steps):
        point = units.detach().requires_grad_(True)
        losses = [
            F.cross_entropy(score(_vary(point, generator)), labels, reduction="sum") for score in attack.attracted
        ]
        # Bounded from below, so that fooling a reference more than enough is worth nothing.
        losses += [
            measure_agreement(score(_vary(point, generator)), labels, gives_probabilities=False).sum()
            for score in attack.repelled
        ]
        (gradient,) = torch.autograd.grad(torch.stack(losses).sum(), point)
        size = gradient.abs().mean(tuple(range(1, gradient.ndim)), keepdim=True)
        velocity = attack.momentum * velocity + gradient / size.clamp_min(1e-12)
        units = torch.minimum(torch.maximum(units - step * velocity.sign(), lower), upper)
    return units


def _score_units(score: Score, scale: Tensor, offset: Tensor, units: Tensor) -> Tensor:
    return score(units * scale + offset)


def _vary(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images as they are, or smaller, at a random place on black."""
    if float(torch.rand((), generator=generator)) < _PLAIN_SHARE:
        return images
    full = images.shape[-1]
    side = int(torch.randint(int(full * _SMALLEST_SIDE), full + 1, (), generator=generator))
    top, left = (int(torch.randint(0, full - side + 1, (), generator=generator)) for _ in range(2))
    smaller = F.interpolate(images, (side, side), mode="bilinear", align_corners=False)
    return F.pad(smaller, (left, full - side - left, top, full - side - top))
