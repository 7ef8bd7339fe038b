"""How many examples go through the copy at once: measured, bounded by memory, smaller where it ends."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from onnxfp.crafting import micro_batch
from onnxfp.crafting.gradients import CopyGradient
from onnxfp.crafting.micro_batch import MicroBatch, find_micro_batch
from onnxfp.errors import ConversionError

NETWORK = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
NETWORK.requires_grad_(False)
IMAGES = torch.rand(3, 3, 32, 32)
# Two activations of 16 channels are kept, and the image.
BYTES = (16 + 16 + 3) * 32 * 32 * 4


def test_what_an_example_keeps_is_measured() -> None:
    found = find_micro_batch(NETWORK, IMAGES, 10**9).n_examples
    assert 0.6 < found * BYTES / micro_batch._CPU_BYTES < 1.7


def test_no_more_examples_than_asked_and_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_micro_batch(NETWORK, IMAGES, 5).n_examples == 5
    monkeypatch.setattr(micro_batch, "_free_bytes", lambda: 1000)
    assert find_micro_batch(NETWORK, IMAGES, 5).n_examples == 1


def test_little_free_memory_makes_small_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micro_batch, "_free_bytes", lambda: 30 * BYTES)
    assert 5 < find_micro_batch(NETWORK, IMAGES, 10**9).n_examples < 18


def test_every_example_passes_once_whatever_runs_out() -> None:
    done: list[int] = []

    def one_pass(part: slice) -> None:
        if part.stop - part.start > 2:
            try:
                raise torch.OutOfMemoryError("out of memory")
            except RuntimeError as error:
                # As the interpreter reports what fails in a node.
                raise ConversionError("a node failed") from error
        done.extend(range(part.start, part.stop))

    passes = MicroBatch(9)
    passes.run(one_pass, 20)
    assert done == list(range(20))
    assert passes.n_examples == 2


def test_a_pass_that_is_taken_again_adds_nothing_twice() -> None:
    # Memory ends in the second model, when the first one's gradient is known.
    def penalty(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        if len(x) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return x.square().flatten(1).sum(1)

    generator, labels = torch.Generator().manual_seed(0), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    images = torch.rand(7, 3, 2, 2, generator=generator)

    def gradient(passes: MicroBatch) -> torch.Tensor:
        source = CopyGradient(
            lambda x: x.mean((2, 3)),
            [],
            torch.tensor(1.0),
            torch.tensor(0.0),
            n_draws=2,
            gives_probabilities=False,
            passes=passes,
            penalties=[penalty],
        )
        return source(images, labels, 0.0, generator)[0]

    assert torch.allclose(gradient(MicroBatch(7)), gradient(MicroBatch(1)))


def test_one_example_that_does_not_fit_is_an_error() -> None:
    def never(_: slice) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with pytest.raises(RuntimeError, match="can't allocate"):
        MicroBatch(4).run(never, 4)
