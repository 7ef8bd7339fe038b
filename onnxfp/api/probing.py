"""Probing a suspect whose matches are remarkable: is it nearly linear, and how much of its range does it tell apart?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.manifest import Manifest
from onnxfp.evidence.priors import Conditions
from onnxfp.recipe.derivation import derive_seeds
from onnxfp.report.parts import Probes
from onnxfp.runtime.session import Answers
from onnxfp.suspects.curvature import is_nearly_linear
from onnxfp.suspects.curvature_questions import ask_curvature
from onnxfp.suspects.saturation import MIN_WINDOW, measure_fed_epsilon, measure_label_window, measure_window
from onnxfp.types import Labels, Levels, Scores


def probe_suspect(
    fingerprint: Fingerprint,
    answers: Answers,
    ask: Callable[[Levels], Answers],
    feed: Callable[[Levels], NDArray[Any]] | None,
) -> Probes:
    """Ask a suspect some 200 more inputs, or 2,000 where it gives labels only.

    Args:
        fingerprint: The examples.
        answers: The suspect's answers to them.
        ask: Asks it ``(n, *shape)`` levels.
        feed: Returns the values that it is fed for levels; ``None`` where that is not known.

    Raises:
        SuspectError: The suspect failed while it ran.
    """
    manifest = fingerprint.manifest
    seeds = derive_seeds(manifest.derivation_context(), fingerprint.indices)

    def score(levels: Levels) -> Scores | None:
        return ask(levels).scores

    def label(levels: Levels) -> Labels:
        return ask(levels).labels

    window = measure_window(score, seeds)
    if window is None:
        window = measure_label_window(label, fingerprint.levels)
    curvature = ask_curvature(ask, fingerprint.levels, answers, manifest.base.spatial_axes, fingerprint.digest)
    return Probes(
        is_linear=is_nearly_linear(curvature),
        window=window,
        fed_epsilon=None if feed is None else measure_fed_epsilon(feed, fingerprint.levels, seeds),
    )


def narrow_conditions(conditions: Conditions, probes: Probes, manifest: Manifest) -> Conditions:
    """Return the conditions for the suspect as it is: its ball is larger where it tells less of the range apart."""
    epsilon, fed = conditions.epsilon, probes.fed_epsilon
    # Rounding to another element type moves a value by half a level at most.
    if fed is not None and fed > epsilon + 0.5 / (manifest.grid.n_levels - 1):
        epsilon = fed
    if probes.window is not None and probes.window < MIN_WINDOW:
        epsilon = epsilon / probes.window if probes.window > 0 else 1.0
    is_linear = conditions.is_linear or probes.is_linear is True
    return replace(conditions, epsilon=min(epsilon, 1.0), is_linear=is_linear)
