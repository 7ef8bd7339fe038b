"""Training, fine-tuning and magnitude pruning of the networks, on the CPU in minutes."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BATCH = 250


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run of stochastic gradient descent.

    Attributes:
        epochs: Passes over the training images.
        learning_rate: Peak of the one-cycle schedule.
        seed: Seeds the order of images, their augmentation, and the weights where they are new.
        warm_up: Share of the run in which the learning rate rises.
    """

    epochs: int
    learning_rate: float
    seed: int
    warm_up: float = 0.2


def train(
    network: nn.Module, images: Tensor, labels: Tensor, schedule: Schedule, *, name: str, keep_zeros: bool = False
) -> None:
    """Train ``network`` in place.

    Args:
        network: A classifier on ``(n, 3, 32, 32)`` images in [0, 1].
        images: ``(n, 3, 32, 32)`` uint8.
        labels: ``(n,)`` int64.
        schedule: Length, learning rate and seed.
        name: Shown beside the progress.
        keep_zeros: Whether weights that are zero stay zero (fine-tuning after pruning).
    """
    generator = torch.Generator().manual_seed(schedule.seed)
    network.train()
    # Module.to is typed without it.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    masks = [(p, p.detach() != 0) for p in network.parameters() if p.ndim > 1] if keep_zeros else []
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    n_batches = len(images) // _BATCH
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, total_steps=schedule.epochs * n_batches, pct_start=schedule.warm_up
    )
    for epoch in range(schedule.epochs):
        began, total = time.monotonic(), 0.0
        order = torch.randperm(len(images), generator=generator)
        for batch in order[: n_batches * _BATCH].split(_BATCH):
            x = _augment(images[batch], generator).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(x)
            loss = F.cross_entropy(logits.float(), labels[batch], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
            for parameter, mask in masks:
                parameter.data *= mask
            total += loss.item()
        seconds = time.monotonic() - began
        print(
            f"{name}: epoch {epoch + 1}/{schedule.epochs}, loss {total / n_batches:.3f}, {seconds:.0f} s",
            file=sys.stderr,
        )
    network.eval()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def prune(network: nn.Module, share: float) -> None:
    """Set the smallest ``share`` of all convolution and linear weights to zero, in place (global magnitude)."""
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    magnitudes = torch.cat([w.detach().abs().flatten() for w in weights])
    threshold = magnitudes.kthvalue(max(1, int(share * len(magnitudes)))).values
    for weight in weights:
        weight.data[weight.detach().abs() <= threshold] = 0.0


def _augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return float images in [0, 1]: shifted by up to 4 pixels, half of them mirrored."""
    n = len(images)
    padded = F.pad(images.float() / 255, (4, 4, 4, 4), mode="reflect")
    top, left = torch.randint(0, 9, (2, n), generator=generator)
    rows = top[:, None] + torch.arange(32)
    columns = left[:, None] + torch.arange(32)
    mirrored = torch.rand(n, generator=generator) < 0.5
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    picked = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()
