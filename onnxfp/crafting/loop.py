"""The sealed loop: derive candidates, craft them, and keep only what the ONNX base itself confirms.

Whatever the inner descent returns is projected again in integers, lies on the input grid, and is scored by
onnxruntime on the owner's ONNX file; an example is kept when that model gives it the derived label.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray

from onnxfp.crafting.descent import Descent
from onnxfp.crafting.gradients import GradientSource
from onnxfp.crafting.high_pass import HighPass
from onnxfp.crafting.state import Crafted, Progress
from onnxfp.errors import GenerationError
from onnxfp.limits import MAX_CANDIDATES
from onnxfp.recipe.defaults import FEW_CLASSES
from onnxfp.recipe.derivation import DerivationContext, derive_labels, derive_seeds
from onnxfp.types import Labels, Levels

# More candidates than this for each wanted example, and the base model does not suit the recipe.
_MAX_CANDIDATES_PER_EXAMPLE = 4
# Weight noise is halved after a batch in which fewer than this share of the candidates was kept.
_MIN_KEPT_SHARE = 0.8
_NOISE_BACKOFF = 0.5

Rescore = Callable[[Levels], Labels]

_log = logging.getLogger(__name__)


def craft_examples(
    context: DerivationContext,
    gradient: GradientSource,
    rescore: Rescore,
    *,
    n_examples: int,
    batch_size: int,
    device: torch.device,
    start: Crafted | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Iterator[Crafted]:
    """Craft examples batch by batch.

    Args:
        context: What seeds and labels are derived from; holds the recipe.
        gradient: Where gradients come from, on ``device``.
        rescore: Labels that the ONNX base gives to ``(n, *shape)`` levels.
        n_examples: Number of examples wanted, at least 1.
        batch_size: Largest number of candidates crafted at once.
        device: Where the gradients are computed.
        start: State to go on from, or ``None`` to begin.
        on_progress: Called after every gradient step.

    Yields:
        The state after each batch; the last one holds exactly ``n_examples`` examples.

    Raises:
        GenerationError: Too many candidates did not reach their label on the base model.
    """
    grid, recipe = context.grid, context.recipe
    span = grid.n_levels - 1
    descent = Descent(
        gradient,
        recipe=recipe,
        epsilon=recipe.epsilon_levels / span,
        step_size=recipe.step_size / (grid.bounds.upper - grid.bounds.lower),
        high_pass=HighPass(context.shape, context.spatial_axes, recipe.cutoff, device),
        # Where there are many classes, survival is what is scarce: nobody is spared a step. Nor where the next step may
        # draw a transformation that was not yet seen.
        stops_early=context.n_classes <= FEW_CLASSES and recipe.kind != "eot",
    )
    state = Crafted.none_yet(context)
    if start is not None and (rescore(start.levels) == start.labels).all():
        state = _first(start, n_examples)
    elif start is not None:
        _log.warning("the base does not confirm the examples of the interrupted run: starting over")
    if len(state.labels) == n_examples:
        yield state
    most = min(_MAX_CANDIDATES_PER_EXAMPLE * n_examples + batch_size, MAX_CANDIDATES - batch_size + 1)
    while len(state.labels) < n_examples:
        if state.n_candidates >= most:
            raise GenerationError(
                f"{state.n_candidates} candidates gave {len(state.labels)} examples of the {n_examples} wanted: the "
                "base model does not give the others their label",
                hint="use a larger --epsilon, more --steps, or less --noise",
            )
        size = _next_batch_size(state, n_examples, batch_size)
        indices = np.arange(state.n_candidates, state.n_candidates + size, dtype=np.int64)
        seeds, labels = derive_seeds(context, indices), derive_labels(context, indices)

        def report(step: int, loss: float, state: Crafted = state, size: int = size) -> None:
            on_progress(Progress(len(state.labels), n_examples, state.n_candidates, step, recipe.n_steps, size, loss))

        generator = torch.Generator(device).manual_seed(_noise_seed(context, state.n_candidates))
        units = descent.run(
            torch.as_tensor(seeds.astype(np.float32) / span, device=device),
            torch.as_tensor(labels, device=device),
            noise=state.noise,
            generator=generator,
            on_step=report,
        )
        levels = seal(units.cpu().numpy(), seeds, context)
        confirmed = rescore(levels) == labels
        state = _extend(state, levels, labels, indices, np.flatnonzero(confirmed), n_examples)
        if confirmed.mean() < _MIN_KEPT_SHARE and state.noise > 0:
            state = replace(state, noise=state.noise * _NOISE_BACKOFF)
            _log.info("only %d of %d candidates held: weight noise is now %g", confirmed.sum(), size, state.noise)
        yield state


def seal(units: NDArray[np.float32], seeds: Levels, context: DerivationContext) -> Levels:
    """Return grid levels within the epsilon ball of their seeds, whatever ``units`` holds.

    Args:
        units: ``(n, *shape)`` float32 unit values.
        seeds: ``(n, *shape)`` levels of the seeds.
        context: Holds the grid and the recipe.

    Returns:
        ``(n, *shape)`` levels, of the grid's type.
    """
    span, epsilon = context.grid.n_levels - 1, context.recipe.epsilon_levels
    centre = seeds.astype(np.int32)
    nearest = np.rint(np.clip(np.nan_to_num(units), 0.0, 1.0).astype(np.float64) * span).astype(np.int32)
    levels = np.clip(nearest, np.maximum(centre - epsilon, 0), np.minimum(centre + epsilon, span))
    return np.asarray(levels.astype(context.grid.dtype))


def _next_batch_size(state: Crafted, n_examples: int, batch_size: int) -> int:
    """Return how many candidates to craft: enough for what is missing, at the rate at which they held so far."""
    missing = n_examples - len(state.labels)
    held = max(len(state.labels), 1) / state.n_candidates if state.n_candidates else 1.0
    return min(batch_size, ceil(missing / held))


def _first(state: Crafted, n_examples: int) -> Crafted:
    """Return a state with no more than ``n_examples``: an interrupted run may have been after more."""
    if len(state.labels) < n_examples:
        return state
    return replace(
        state,
        levels=state.levels[:n_examples],
        labels=state.labels[:n_examples],
        indices=state.indices[:n_examples],
        n_candidates=int(state.indices[n_examples - 1]) + 1,
    )


def _extend(
    state: Crafted,
    levels: Levels,
    labels: Labels,
    indices: NDArray[np.int64],
    confirmed: NDArray[np.intp],
    n_examples: int,
) -> Crafted:
    """Return the state with the confirmed candidates of one batch, up to ``n_examples`` in all.

    The last example kept is the last candidate that counts: whatever was crafted after it changes nothing.
    """
    kept = confirmed[: n_examples - len(state.labels)]
    is_complete = len(state.labels) + len(kept) == n_examples
    last = indices[kept[-1]] if is_complete else indices[-1]
    return Crafted(
        levels=np.concatenate([state.levels, levels[kept]]),
        labels=np.concatenate([state.labels, labels[kept]]),
        indices=np.concatenate([state.indices, indices[kept]]),
        n_candidates=int(last) + 1,
        noise=state.noise,
    )


def _noise_seed(context: DerivationContext, n_candidates: int) -> int:
    return int.from_bytes(context.digest()[:7], "little") ^ n_candidates
