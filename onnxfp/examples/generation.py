"""The sealed loop: derive candidates, craft them, and keep only what the ONNX base itself confirms.

Whatever the inner descent returns is projected again in integers, lies on the input grid, and is scored by
onnxruntime on the owner's ONNX file; an example is kept when that model gives it the derived label.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnxfp.errors import GenerationError
from onnxfp.examples.crafted import Crafted, Progress
from onnxfp.examples.derivation import DerivationContext, derive_labels, derive_seeds
from onnxfp.examples.descent import Descent
from onnxfp.examples.high_pass import HighPass
from onnxfp.types import Labels, Levels

# More candidates than this for each wanted example, and the base model does not suit the recipe.
_MAX_CANDIDATES_PER_EXAMPLE = 4
# Weight noise is halved after a batch in which fewer than this share of the candidates was kept.
_LEAST_KEPT_SHARE = 0.8
_NOISE_BACKOFF = 0.5

Rescore = Callable[[Levels], Labels]

_log = logging.getLogger(__name__)


def craft_examples(
    context: DerivationContext,
    copy: torch.nn.Module,
    weights: list[Tensor],
    rescore: Rescore,
    *,
    n_examples: int,
    batch_size: int,
    device: torch.device,
    gives_probabilities: bool,
    start: Crafted | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Iterator[Crafted]:
    """Craft examples batch by batch.

    Args:
        context: What seeds and labels are derived from; holds the recipe.
        copy: The torch copy, on ``device``.
        weights: Its weights, which the kinds ``rc`` and ``ltrc`` perturb.
        rescore: Labels that the ONNX base gives to ``(n, *shape)`` levels.
        n_examples: Number of examples wanted, at least 1.
        batch_size: Largest number of candidates crafted at once.
        device: Where the gradients are computed.
        gives_probabilities: Whether the copy's scores are probabilities.
        start: State to go on from, or ``None`` to begin.
        on_progress: Called after every gradient step.

    Yields:
        The state after each batch; the last one holds exactly ``n_examples`` examples.

    Raises:
        GenerationError: Too many candidates did not reach their label on the base model.
    """
    grid, recipe = context.grid, context.recipe
    span = grid.n_levels - 1
    scale, offset = (torch.as_tensor(a, dtype=torch.float32, device=device) for a in grid.affine(context.shape))
    descent = Descent(
        copy,
        weights if recipe.kind != "c" else [],
        scale,
        offset,
        recipe=recipe,
        epsilon=recipe.epsilon_levels / span,
        step_size=recipe.step_size / (grid.bounds.upper - grid.bounds.lower),
        high_pass=HighPass(context.shape, context.spatial_axes, recipe.cutoff, device),
        gives_probabilities=gives_probabilities,
    )
    state = start or Crafted.none_yet(context)
    while len(state.labels) < n_examples:
        if state.n_candidates >= _MAX_CANDIDATES_PER_EXAMPLE * n_examples + batch_size:
            raise GenerationError(
                f"{state.n_candidates} candidates gave {len(state.labels)} examples of the {n_examples} wanted: the "
                "base model does not give the others their label",
                hint="use a larger --epsilon, more --steps, or less --noise",
            )
        missing = n_examples - len(state.labels)
        size = min(batch_size, missing)
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
        kept = rescore(levels) == labels
        state = _extend(state, levels[kept], labels[kept], indices[kept], size)
        if kept.mean() < _LEAST_KEPT_SHARE and state.noise > 0:
            state = replace(state, noise=state.noise * _NOISE_BACKOFF)
            _log.info("only %d of %d candidates were kept: weight noise is now %g", kept.sum(), size, state.noise)
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
    nearest = np.rint(np.nan_to_num(units.astype(np.float64)) * span).astype(np.int32)
    levels = np.clip(nearest, np.maximum(centre - epsilon, 0), np.minimum(centre + epsilon, span))
    return np.asarray(levels.astype(context.grid.dtype))


def _extend(state: Crafted, levels: Levels, labels: Labels, indices: NDArray[np.int64], n_tried: int) -> Crafted:
    return Crafted(
        levels=np.concatenate([state.levels, levels]),
        labels=np.concatenate([state.labels, labels]),
        indices=np.concatenate([state.indices, indices]),
        n_candidates=state.n_candidates + n_tried,
        noise=state.noise,
    )


def _noise_seed(context: DerivationContext, n_candidates: int) -> int:
    return int.from_bytes(context.digest()[:7], "little") ^ n_candidates
