"""What stands beside characteristic examples in the comparison: fingerprints of the literature, from natural images.

Each takes natural images of the base's own task, which characteristic examples do without, and gives examples on the
8-bit grid with the labels that onnxruntime's base gives them; which labels those are is each method's own choice.

References:
    Boundary examples: Cao et al. (IPGuard), arXiv:1910.12903. Adversarial examples: Madry et al., arXiv:1706.06083.
    Misclassified inputs: the AKH heuristic, arXiv:2412.13021. All are written from the papers' formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.runtime.session import ModelSession
from onnxfp.types import Labels, ModelInput

Score = Callable[[Tensor], Tensor]

BATCH = 50
LEVELS = 255


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Inputs and recorded labels of one method.

    Attributes:
        inputs: ``(n, 3, height, width)`` float32 in [0, 1], on the 8-bit grid.
        labels: ``(n,)`` int64 labels that the base gives them in onnxruntime.
    """

    inputs: ModelInput
    labels: Labels


def boundary(
    score: Score, base: ModelSession, images: Tensor, n: int, *, margin: float, n_steps: int = 300
) -> Examples:
    """IPGuard: move each image just across the boundary between its label and the least likely one.

    The loss is ``relu(Z_i - Z_j + k) + relu(max_t Z_t - Z_i)`` with the image's label ``i``, the least likely label
    ``j``, every other label ``t`` and ``k = margin``, minimised by Adam. The recorded label is ``j``.
    """

    def craft(x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            target = score(x).argmin(1)
        rows = torch.arange(len(x))
        change = torch.zeros_like(x, requires_grad=True)
        optimiser = torch.optim.Adam([change], lr=1e-2)
        for _ in range(n_steps):
            z = score((x + change).clamp(0, 1))
            others = z.scatter(1, torch.stack([own, target], 1), -torch.inf).amax(1)
            loss = F.relu(z[rows, own] - z[rows, target] + margin) + F.relu(others - z[rows, own])
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
        return (x + change.detach()).clamp(0, 1), target

    return _collect(base, images, n, craft)


def targeted(score: Score, base: ModelSession, images: Tensor, n: int, *, epsilon: float, seed: int) -> Examples:
    """Plain targeted adversarial examples: towards a random other label, within ``epsilon`` of the image."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        n_classes = score(images[:2]).shape[1]

    def craft(x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        aims = (own + torch.randint(1, n_classes, own.shape, generator=generator)) % n_classes
        return _descend(score, x, aims, epsilon, sign=-1), aims

    return _collect(base, images, n, craft)


def untargeted(score: Score, base: ModelSession, images: Tensor, n: int, *, epsilon: float) -> Examples:
    """Plain untargeted adversarial examples: away from the base's own label, within ``epsilon`` of the image."""

    def craft(x: Tensor, own: Tensor) -> tuple[Tensor, None]:
        return _descend(score, x, own, epsilon, sign=1), None

    return _collect(base, images, n, craft)


def misclassified(base: ModelSession, images: Tensor, truth: Tensor, n: int) -> Examples:
    """AKH: natural images that the base gets wrong, with the wrong label."""
    labels = base.answer(images.numpy()).labels
    wrong = labels != truth.numpy()
    return Examples(images.numpy()[wrong][:n], labels[wrong][:n])


def _descend(score: Score, x: Tensor, labels: Tensor, epsilon: float, sign: int, n_steps: int = 50) -> Tensor:
    point = x.clone()
    for _ in range(n_steps):
        point.requires_grad_(True)
        (gradient,) = torch.autograd.grad(F.cross_entropy(score(point), labels, reduction="sum"), point)
        moved = point.detach() + sign * epsilon / 8 * gradient.sign()
        point = torch.minimum(torch.maximum(moved, x - epsilon), x + epsilon).clamp(0, 1)
    return point.detach()


def _collect(
    base: ModelSession, images: Tensor, n: int, craft: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]
) -> Examples:
    """Craft in batches until ``n`` examples have the label that was wanted, or any label but the image's own."""
    inputs, recorded = [], []
    for x in images.split(BATCH):
        own = torch.from_numpy(base.answer(x.numpy()).labels)
        crafted, wanted = craft(x, own)
        crafted = (crafted * LEVELS).round() / LEVELS
        found = torch.from_numpy(base.answer(crafted.numpy()).labels)
        kept = found != own if wanted is None else found == wanted
        inputs.append(crafted[kept])
        recorded.append(found[kept])
        if sum(map(len, inputs)) >= n:
            break
    return Examples(torch.cat(inputs)[:n].numpy(), torch.cat(recorded)[:n].numpy())
