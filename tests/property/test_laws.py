"""Laws that hold for every input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.writer import pack
from onnxfp.crafting.descent import Descent
from onnxfp.crafting.gradients import CopyGradient
from onnxfp.crafting.high_pass import HighPass
from onnxfp.crafting.loop import seal
from onnxfp.evidence.null import Null, ReferenceCount, estimate_null
from onnxfp.evidence.predictive import predict_matches
from onnxfp.evidence.priors import Conditions, Prior
from onnxfp.evidence.statistics import binomial_tails, clopper_pearson
from onnxfp.evidence.verdict import Counts, Grounds, Policy, Verdict, judge
from onnxfp.recipe.derivation import DerivationContext, check_derivation, derive_labels, derive_seeds
from onnxfp.recipe.recipe import Recipe
from onnxfp.types import InputGrid, Spectrum

counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
rates = st.floats(0.001, 0.999)
ORDER = [Verdict.NO_MATCH, Verdict.INCONCLUSIVE, Verdict.MATCH]


@given(counts, st.floats(0.01, 0.999))
def test_an_interval_contains_its_estimate(count: tuple[int, int], confidence: float) -> None:
    k, n = count
    interval = clopper_pearson(k, n, confidence)
    assert 0 <= interval.lower <= k / n <= interval.upper <= 1


@given(st.integers(1, 300), rates, rates)
def test_a_tail_falls_with_the_count_and_grows_with_the_rate(n: int, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert (binomial_tails(n, low) <= binomial_tails(n, high) + 1e-15).all()
    assert (np.diff(binomial_tails(n, low)) <= 0).all()


pools = st.lists(st.integers(0, 100), max_size=12)


def references(matches: list[int]) -> list[ReferenceCount]:
    return [ReferenceCount(f"{i}", k, 100) for i, k in enumerate(matches)]


def null(n_candidates: int, prior: list[int], owner: list[int], verifier: list[int], n_classes: int = 10) -> Null:
    basis = Prior(tuple((k, 100) for k in prior), "")
    return estimate_null(references(owner), references(verifier), basis, n_classes=n_classes, n_candidates=n_candidates)


@given(st.integers(20, 200), pools, st.floats(1e-9, 1e-2), st.integers(0, 50))
@settings(deadline=None)
def test_more_matches_never_weaken_the_verdict(n: int, prior: list[int], alpha: float, extra: int) -> None:
    model, policy = null(n + extra, prior, [], []), Policy(alpha=alpha)
    task = Conditions("coarse", 16 / 255, 10, (32, 32))
    grounds = (Grounds(Counts(k, n, n, n + extra), task) for k in range(n + 1))
    verdicts = [judge(one, policy, null=model).decision.verdict for one in grounds]
    places = [ORDER.index(verdict) for verdict in verdicts]
    assert places == sorted(places)


@given(st.integers(20, 200), pools, st.integers(0, 400), st.integers(0, 400))
@settings(deadline=None)
def test_more_candidates_never_strengthen_the_verdict(n: int, prior: list[int], a: int, b: int) -> None:
    few, many = sorted((a, b))
    tails = [null(n + m, prior, [], []).p_value(n) for m in (few, many)]
    assert tails[0] <= tails[1] * (1 + 1e-9)


@given(pools, pools, pools, st.integers(2, 1000))
@settings(deadline=None)
def test_the_owners_references_never_lower_the_null(
    owner: list[int], verifier: list[int], prior: list[int], n_classes: int
) -> None:
    without, with_owner = (null(100, prior, pool, verifier, n_classes) for pool in ([], owner))
    assert (with_owner.tail >= without.tail).all()
    assert (without.tail >= binomial_tails(100, 1 / n_classes)).all()


@given(pools, st.integers(1, 300))
@settings(deadline=None)
def test_a_prediction_is_a_distribution(pool: list[int], n: int) -> None:
    prediction = predict_matches([(k, 100) for k in pool], n)
    assert prediction.tail[0] == 1.0
    assert (np.diff(prediction.tail) <= 0).all()
    # The expected count is the sum of the tail beyond zero.
    assert abs(prediction.tail[1:].sum() - n * prediction.rate) <= 1e-6 * n


shapes = st.sampled_from([(3, 8, 8), (5, 7, 1), (1, 33), (6,)])


@st.composite
def contexts(draw: st.DrawFn) -> DerivationContext:
    shape = draw(shapes)
    axes = {3: (1, 2), 2: (1,), 1: ()}[len(shape)]
    spectrum: Spectrum = draw(st.sampled_from(["white", "coarse", "pink"]))
    epsilon = draw(st.integers(1, 255))
    recipe = Recipe("c", spectrum, epsilon, 1, 0.1, 0.0, 1, 0, "none", "copy", draw(st.integers(0, 2**40)))
    grid = InputGrid(n_levels=draw(st.sampled_from([256, 65536])))
    return DerivationContext("00" * 32, "sha256:" + "0" * 64, shape, axes, draw(st.integers(2, 40)), grid, recipe)


@given(contexts(), st.integers(0, 2**31))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_is_sealed_passes_the_derivation_check(context: DerivationContext, seed: int) -> None:
    rng = np.random.default_rng(seed)
    indices = np.sort(rng.choice(10_000, 3, replace=False))
    wild = rng.normal(0.5, 2.0, (3, *context.shape)).astype(np.float32)
    levels = seal(wild, derive_seeds(context, indices), context)
    check_derivation(context, levels, derive_labels(context, indices), indices, 10_000)


@given(
    st.integers(0, 2**31), st.floats(0.001, 0.5), st.floats(0.001, 1.0), st.sampled_from(["perturbation", "gradient"])
)
@settings(deadline=None, max_examples=30)
def test_the_descent_never_leaves_ball_and_box(seed: int, epsilon: float, step: float, filtered: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(5, 3 * 6 * 6, generator=generator)
    recipe = Recipe("ltrc", "white", 1, 5, 0.1, 0.1, 2, 2, filtered, "copy", 0)  # type: ignore[arg-type]
    source = CopyGradient(
        lambda x: x.flatten(1) @ weight.T,
        [weight],
        torch.tensor(1.0),
        torch.tensor(0.0),
        n_draws=2,
        gives_probabilities=False,
    )
    high_pass = HighPass((3, 6, 6), (1, 2), 2)
    descent = Descent(source, recipe=recipe, epsilon=epsilon, step_size=step, high_pass=high_pass)
    seeds = torch.rand(4, 3, 6, 6, generator=generator)
    examples = descent.run(seeds, torch.arange(4), noise=0.1, generator=generator, on_step=lambda *_: None)
    assert examples.min() >= 0
    assert examples.max() <= 1
    # Up to the rounding of float32; the seal above makes it exact in whole levels.
    assert (examples - seeds).abs().max() <= epsilon + 1e-6


@given(st.integers(1, 5), st.integers(0, 9), st.integers(0, 2**63 - 1))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_bundle_survives_the_round_trip(forge: Any, n: int, extra: int, seed: int) -> None:
    manifest = forge.manifest(n_examples=n, n_candidates=n + extra)
    manifest = replace(manifest, recipe=replace(manifest.recipe, seed=seed))
    fingerprint = forge.fingerprint(manifest)
    content = pack(fingerprint.members())
    loaded = parse_bundle(content)
    assert loaded.manifest == manifest
    assert pack(loaded.members()) == content
