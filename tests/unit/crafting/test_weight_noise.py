"""Weight noise: bounded, relative, and gone afterwards to the last bit."""

from __future__ import annotations

import pytest
import torch

from onnxfp.crafting.weight_noise import WeightNoise


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


def test_the_scale_of_a_long_tensor_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Once a piece, and preparing the noise takes the square of the number of weights.
    asked = []
    square = torch.Tensor.square

    def counted(tensor: torch.Tensor) -> torch.Tensor:
        asked.append(tensor.numel())
        return square(tensor)

    monkeypatch.setattr(torch.Tensor, "square", counted)
    weight = torch.ones(3 * 2**20)
    with noisy([weight], 0.1).perturbed():
        # Every piece is perturbed, and none is what another is.
        pieces = weight.split(2**20)
        assert all(float((piece - 1).abs().max()) > 0.09 for piece in pieces)
        assert not torch.equal(pieces[0], pieces[1])
    assert asked == [3 * 2**20]
