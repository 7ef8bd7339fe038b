"""Weight noise: bounded, relative, and gone afterwards to the last bit."""

from __future__ import annotations

import pytest
import torch

from onnxfp.examples.weight_noise import WeightNoise


def noisy(weights: list[torch.Tensor], noise: float, seed: int = 0) -> WeightNoise:
    return WeightNoise(weights, noise, torch.Generator().manual_seed(seed))


def test_noise_stays_within_delta_of_each_tensors_scale() -> None:
    weights = [torch.randn(50, 40), 1000 * torch.randn(30)]
    originals = [w.clone() for w in weights]
    with noisy(weights, 0.1).perturbed():
        for weight, original in zip(weights, originals, strict=True):
            width = 0.1 * original.square().mean().sqrt()
            distance = (weight - original).abs().max()
            assert 0.8 * width < distance <= width * (1 + 1e-4)


def test_the_originals_come_back_bit_for_bit_even_after_an_error() -> None:
    weights = [torch.randn(50, 40)]
    original = weights[0].clone()

    def fail() -> None:
        with noisy(weights, 0.5).perturbed():
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert torch.equal(weights[0], original)


def test_draws_differ_and_seeds_repeat_them() -> None:
    weight = torch.ones(100)
    noise, again = noisy([weight], 0.1), noisy([weight], 0.1)
    seen = []
    for source in (noise, noise, again):
        with source.perturbed():
            seen.append(weight.clone())
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


def test_without_noise_weights_are_never_touched() -> None:
    weight = torch.ones(3)
    with noisy([weight], 0.0).perturbed():
        assert torch.equal(weight, torch.ones(3))
