"""Running a batch through a graph that was exported for another batch size.

Many graphs carry the batch size of their export in a Reshape, even where the input says it is free. There are three
ways to run one on ``n`` examples, tried from fast to slow; each is taken only if it gives what single runs give.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from onnxfp.errors import ConversionError

Scorer = Callable[[Tensor], Tensor]

_TOLERANCE = 1e-4

_log = logging.getLogger(__name__)


def choose_batching(copy: Scorer, batch: int | None, probes: Tensor) -> Scorer:
    """Return a function that scores any number of examples.

    Args:
        copy: The torch copy.
        batch: Batch size that the graph demands, or ``None`` when it claims to take any.
        probes: ``(n, *shape)`` model input to try on, n at least 3.

    Returns:
        A function of ``(n, *shape)`` that gives ``(n, n_classes)``.

    Raises:
        ConversionError: Not even single runs work.
    """
    chunked = _in_chunks(copy, batch or 1)
    with torch.no_grad():
        expected = chunked(probes[:3])
        candidates: list[tuple[str, Scorer]] = [("the graph as it is", copy)]
        if batch in (None, 1):
            candidates.append(("vmap", _by_vmap(copy)))
        for name, scorer in candidates:
            if _agrees(scorer, probes[:3], expected):
                _log.debug("batches run by %s", name)
                return scorer
    _log.info("the graph takes batches of %d only; larger ones run one after another", batch or 1)
    return chunked


def _in_chunks(copy: Scorer, size: int) -> Scorer:
    def run(x: Tensor) -> Tensor:
        parts = []
        for chunk in torch.split(x, size):
            missing = size - len(chunk)
            full = torch.cat([chunk, chunk[-1:].expand(missing, *chunk.shape[1:])]) if missing else chunk
            scores = copy(full)
            parts.append(scores.reshape(size, -1)[: len(chunk)])
        return torch.cat(parts)

    return run


def _by_vmap(copy: Scorer) -> Scorer:
    single = torch.func.vmap(lambda x: copy(x.unsqueeze(0)).reshape(-1))

    def run(x: Tensor) -> Tensor:
        return single(x)

    return run


def _agrees(scorer: Scorer, probes: Tensor, expected: Tensor) -> bool:
    try:
        found = scorer(probes)
    except (ConversionError, RuntimeError, ValueError, IndexError):
        return False
    if found.shape[:1] != expected.shape[:1] or found.numel() != expected.numel():
        return False
    scale = expected.abs().max().clamp_min(1e-30)
    return bool((found.reshape(expected.shape) - expected).abs().max() <= _TOLERANCE * scale)
