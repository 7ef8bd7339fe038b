"""The sealed loop: what it keeps, how it goes on, when it gives up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
import onnx
import pytest
import torch

from onnxfp.crafting.descent import SETTLED_STEPS, Descent
from onnxfp.crafting.gradients import CopyGradient, GradientSource, QueryGradient, affine_tensors
from onnxfp.crafting.high_pass import HighPass, low_pass
from onnxfp.crafting.input_transforms import Transformations
from onnxfp.crafting.loop import craft_examples, seal
from onnxfp.crafting.state import Crafted, Progress
from onnxfp.errors import GenerationError
from onnxfp.recipe.derivation import DerivationContext, check_derivation, derive_labels, derive_seeds
from onnxfp.recipe.recipe import Recipe
from onnxfp.torch_copy.copy import TorchCopy, build_torch_copy
from onnxfp.types import InputGrid, Labels, Levels

RECIPE = Recipe("rc", "white", 128, 20, 0.05, 0.01, 1, 0, "none", "copy", 0)
CONTEXT = DerivationContext("00", "sha256:x", (3, 8, 8), (1, 2), 5, InputGrid(), RECIPE)


@pytest.fixture(scope="module")
def copy(make_classifier: Callable[..., onnx.ModelProto]) -> TorchCopy:
    return build_torch_copy(make_classifier())


def rescorer(copy: TorchCopy) -> Callable[[Levels], Labels]:
    def rescore(levels: Levels) -> Labels:
        with torch.no_grad():
            return copy(torch.from_numpy(InputGrid().to_model_input(levels))).argmax(1).numpy()  # type: ignore[no-any-return]

    return rescore


def craft(
    copy: TorchCopy,
    context: DerivationContext = CONTEXT,
    *,
    gives_probabilities: bool = False,
    rescore: Callable[[Levels], Labels] | None = None,
    source: GradientSource | None = None,
    n_examples: int = 20,
    **options: object,
) -> list[Crafted]:
    cpu = torch.device("cpu")
    scale, offset = affine_tensors(context, cpu)
    source = source or CopyGradient(
        copy,
        [] if context.recipe.kind == "c" else list(copy.weights().values()),
        scale,
        offset,
        n_draws=context.recipe.n_draws,
        gives_probabilities=gives_probabilities,
        transformations=Transformations(context.shape, context.spatial_axes) if context.recipe.kind == "eot" else None,
    )
    return list(
        craft_examples(
            context,
            source,
            rescore or rescorer(copy),
            n_examples=n_examples,
            batch_size=8,
            device=cpu,
            **options,  # type: ignore[arg-type]
        )
    )


def test_exactly_as_many_examples_as_asked_all_confirmed_by_the_base(copy: TorchCopy) -> None:
    final = craft(copy)[-1]
    assert len(final.labels) == len(final.levels) == len(final.indices) == 20
    assert (rescorer(copy)(final.levels) == final.labels).all()
    check_derivation(CONTEXT, final.levels, final.labels, final.indices, final.n_candidates)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "c", "noise": 0.0},
        {"kind": "ltrc", "cutoff": 1, "filtered": "perturbation", "epsilon_levels": 250, "n_steps": 40},
        {"kind": "ltrc", "cutoff": 1, "filtered": "gradient", "epsilon_levels": 250, "n_steps": 40},
        {"n_draws": 3},
        {"spectrum": "pink"},
        {"kind": "eot", "spectrum": "coarse", "epsilon_levels": 250, "n_steps": 40},
    ],
)
def test_every_kind_yields_derived_examples(copy: TorchCopy, change: dict[str, object]) -> None:
    context = replace(CONTEXT, recipe=replace(RECIPE, **change))  # type: ignore[arg-type]
    final = craft(copy, context, n_examples=8)[-1]
    check_derivation(context, final.levels, final.labels, final.indices, final.n_candidates)


def test_the_same_context_crafts_the_same_bytes(copy: TorchCopy) -> None:
    first, second = craft(copy)[-1], craft(copy)[-1]
    assert (first.levels == second.levels).all()


def test_an_interrupted_generation_ends_as_an_uninterrupted_one(copy: TorchCopy) -> None:
    states = craft(copy)
    assert len(states) > 2
    resumed = craft(copy, start=states[0])
    assert (resumed[-1].levels == states[-1].levels).all()
    assert resumed[-1].n_candidates == states[-1].n_candidates


@pytest.mark.parametrize("n", [1, 5, 8])
def test_after_an_interrupted_run_fewer_examples_may_be_asked_for(copy: TorchCopy, n: int) -> None:
    start = craft(copy)[0]
    assert len(start.labels) >= 8
    final = craft(copy, n_examples=n, start=start)[-1]
    assert len(final.labels) == len(final.levels) == n
    assert (final.levels == start.levels[:n]).all()
    check_derivation(CONTEXT, final.levels, final.labels, final.indices, final.n_candidates)


def test_what_the_base_does_not_confirm_is_not_kept_but_counted(copy: TorchCopy) -> None:
    rescore = rescorer(copy)

    def picky(levels: Levels) -> Labels:
        labels = rescore(levels)
        labels[::2] = -1
        return labels

    final = craft(copy, rescore=picky)[-1]
    assert final.n_candidates > 30
    assert len(final.labels) == 20
    assert (np.diff(final.indices) > 0).all()


def test_a_base_that_confirms_nothing_ends_in_an_error(copy: TorchCopy) -> None:
    with pytest.raises(GenerationError, match="0 examples of the 20") as raised:
        craft(copy, rescore=lambda levels: np.full(len(levels), -1))
    assert "--epsilon" in raised.value.hint


def test_weight_noise_backs_off_when_it_costs_examples(copy: TorchCopy) -> None:
    rescore = rescorer(copy)
    states = craft(copy, rescore=lambda levels: np.where(np.arange(len(levels)) % 2, rescore(levels), -1))
    assert states[0].noise == RECIPE.noise / 2
    assert craft(copy)[0].noise == RECIPE.noise


def test_progress_is_reported_for_every_step(copy: TorchCopy) -> None:
    seen: list[Progress] = []
    n_batches = len(craft(copy, on_progress=seen.append))
    assert n_batches < len(seen) <= n_batches * RECIPE.n_steps
    first = [p for p in seen if p.n_candidates == 0]
    assert first[-1].loss < first[0].loss
    assert [p.step for p in islice(seen, 3)] == [1, 2, 3]


@pytest.mark.parametrize("stops_early", [True, False])
def test_examples_leave_when_they_have_settled_and_not_before(stops_early: bool) -> None:
    """The first stops_early after three steps, the second loses its calm once, the third never stops_early."""
    losses = {0: [1.0, 1.0, 1.0], 1: [0.0, 0.0, 1.0], 2: [1.0] * 40}
    asked: list[list[int]] = []

    def source(
        examples: torch.Tensor, labels: torch.Tensor, noise: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(labels.tolist())
        step = len(asked) - 1
        given = [losses[i][step] if step < len(losses[i]) else 0.0 for i in labels.tolist()]
        return torch.ones_like(examples), torch.tensor(given)

    recipe = replace(RECIPE, kind="c", noise=0.0)
    high_pass = HighPass((2,), (), 0)
    descent = Descent(source, recipe=recipe, epsilon=1.0, step_size=0.01, high_pass=high_pass, stops_early=stops_early)
    seeds = torch.full((3, 2), 0.9)
    generator, labels = torch.Generator(), torch.arange(3)
    units = descent.run(seeds, labels, noise=0.0, generator=generator, on_step=lambda *_: None)
    steps = [sum(i in labels for labels in asked) for i in range(3)]
    early = 3 + SETTLED_STEPS if stops_early else RECIPE.n_steps
    assert steps == [early, early, RECIPE.n_steps]
    assert units.numpy() == pytest.approx(0.9 - 0.01 * np.array(steps)[:, None].repeat(2, 1), abs=1e-6)


def test_passes_grow_smaller_where_memory_ends_and_nothing_changes(
    copy: TorchCopy, caplog: pytest.LogCaptureFixture
) -> None:
    def small(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return copy(x)  # type: ignore[no-any-return]

    def crafted(score: Callable[[torch.Tensor], torch.Tensor]) -> Crafted:
        scale, offset = affine_tensors(CONTEXT, torch.device("cpu"))
        weights = list(copy.weights().values())
        source = CopyGradient(score, weights, scale, offset, n_draws=2, gives_probabilities=False)
        return craft(copy, source=source)[-1]

    with caplog.at_level(logging.WARNING):
        found = crafted(small)
    assert "memory ran out with 8 examples at once: going on with 4" in caplog.text
    expected = crafted(copy)
    # Sums over other batches are rounded otherwise, which may turn the sign of a gradient of zero.
    assert (found.indices == expected.indices).all()
    assert (found.levels == expected.levels).mean() > 0.99


def test_what_fails_for_another_reason_is_not_tried_again(copy: TorchCopy) -> None:
    def broken(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("something else")

    scale, offset = affine_tensors(CONTEXT, torch.device("cpu"))
    source = CopyGradient(broken, [], scale, offset, n_draws=1, gives_probabilities=False)
    with pytest.raises(RuntimeError, match="something else"):
        craft(copy, source=source)


def test_probabilities_lead_to_the_label_as_well(make_classifier: Callable[..., onnx.ModelProto]) -> None:
    softmax = build_torch_copy(make_classifier(softmax=True))
    final = craft(softmax, gives_probabilities=True)[-1]
    assert len(final.labels) == 20


def test_the_seal_holds_whatever_the_inner_loop_returns() -> None:
    seeds = np.array([[0, 5, 128, 250, 255]], np.uint8)
    context = replace(CONTEXT, shape=(5,), spatial_axes=(), recipe=replace(RECIPE, epsilon_levels=8))
    for wild in (np.nan, np.inf, -np.inf, 1e30, -3.0, 0.5):
        sealed = seal(np.full((1, 5), wild, np.float32), seeds, context)
        assert sealed.dtype == np.uint8
        assert np.abs(sealed.astype(int) - seeds).max() <= 8


def test_labels_are_the_derived_ones(copy: TorchCopy) -> None:
    final = craft(copy)[-1]
    assert (final.labels == derive_labels(CONTEXT, final.indices)).all()


def test_examples_that_the_base_does_not_confirm_are_not_resumed_from(copy: TorchCopy) -> None:
    indices = np.arange(8)
    planted = Crafted(derive_seeds(CONTEXT, indices), derive_labels(CONTEXT, indices), indices, 8, 0.01)
    states = craft(copy, start=planted)
    assert states[0].indices[0] == 0
    assert (rescorer(copy)(states[-1].levels) == states[-1].labels).all()


def test_estimated_gradients_point_the_same_way_and_craft_examples(copy: TorchCopy) -> None:
    context = replace(CONTEXT, recipe=replace(RECIPE, kind="c", noise=0.0, gradient="estimate", n_draws=200))
    scale, offset = affine_tensors(context, torch.device("cpu"))
    exact = CopyGradient(copy, [], scale, offset, n_draws=1, gives_probabilities=False)
    estimate = QueryGradient(
        copy, scale, offset, shape=(3, 8, 8), spatial_axes=(1, 2), n_directions=200, gives_probabilities=False
    )
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels, generator = torch.arange(4), torch.Generator().manual_seed(1)
    true, loss = exact(x, labels, 0.0, generator)
    guessed, guessed_loss = estimate(x, labels, 0.0, generator)
    # Its low-frequency half is all that can be estimated.
    smooth = low_pass((3, 8, 8), (1, 2), 4)(true)
    for a, b in zip(guessed, smooth, strict=True):
        assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.5
    assert guessed_loss.numpy() == pytest.approx(loss.numpy(), rel=0.05)
    final = craft(copy, context, source=estimate, n_examples=3)[-1]
    check_derivation(context, final.levels, final.labels, final.indices, final.n_candidates)
