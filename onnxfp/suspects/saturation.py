"""How much of the input range a suspect tells apart.

The ball around a seed is a share of the input's range. A suspect that clips its input, or is fed in units that are not
its own, tells only a part of the range apart, and the same ball is a larger share of that part. In the extreme, one
step inside the ball crosses everything that the suspect can see, and any example matches any model. So the ball is
measured again as the suspect sees it:

* on the values that it is fed, after rounding and clipping to its element type (:func:`measure_fed_epsilon`);
* by its own answers: levels at the ends of the range that can be clipped without any change of the scores are one level
  to it (:func:`measure_window`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxfp.types import Labels, Levels, Scores

N_PROBES = 16
"""Seeds on which the window is measured."""

N_LABEL_PROBES = 200
"""Examples on which it is measured where a suspect gives labels only."""

MAX_LABEL_WINDOW = 0.5
"""Largest window that labels show. Labels of whole networks stay where an eighth is clipped at either end."""

EIGHTHS = 8
"""Resolution of the window: eighths of the range."""

MIN_WINDOW = 0.75
"""Smallest window that counts as the whole range.

Static quantisers clip a few percent at either end. Ranges that are taken for one another, [0, 1] and [0, 255] or [0, 1]
and [-1, 1], leave at most half.
"""

# A change of the scores below this share of their spread over the probes is none.
_NEGLIGIBLE = 1e-3
_CHUNK_VALUES = 2**24


def measure_fed_epsilon(feed: Callable[[Levels], NDArray[np.generic]], levels: Levels, seeds: Levels) -> float:
    """Return the largest distance of an example from its seed as a share of the range that a model is fed.

    Args:
        feed: Returns the values that the model is fed for ``(n, *shape)`` levels, in its own element type.
        levels: ``(n, *shape)`` levels of the examples.
        seeds: ``(n, *shape)`` levels of their seeds.

    Returns:
        A share in [0, 1]; 0 where the model is fed one value whatever the levels.
    """
    n_levels = 256 if levels.dtype == np.uint8 else 65536
    ends = np.stack([np.full(levels.shape[1:], level, levels.dtype) for level in (0, n_levels - 1)])
    low, high = (fed.astype(np.float64) for fed in feed(ends))
    width = np.abs(high - low)
    chunk = max(1, _CHUNK_VALUES // max(1, width.size))
    largest = 0.0
    for first in range(0, len(levels), chunk):
        part = slice(first, first + chunk)
        distance = np.abs(feed(levels[part]).astype(np.float64) - feed(seeds[part]).astype(np.float64))
        share = np.divide(distance, width, out=np.zeros_like(distance), where=width > 0)
        largest = max(largest, float(share.max(initial=0.0)))
    return min(largest, 1.0)


def measure_window(ask: Callable[[Levels], Scores | None], seeds: Levels) -> float | None:
    """Return the share of the range that a suspect tells apart, by its answers to clipped inputs.

    Args:
        ask: Returns ``(n, n_classes)`` scores for ``(n, *shape)`` levels, or ``None`` where the suspect gives labels
            only.
        seeds: ``(n, *shape)`` levels of derived seeds; the first :data:`N_PROBES` are used.

    Returns:
        A multiple of an eighth in [0, 1], where 1 is the whole range; ``None`` where there are no scores.
    """
    probes = seeds[:N_PROBES]
    plain = ask(probes)
    if plain is None:
        return None
    centred = _centre(plain)
    spread = float(np.abs(centred - centred.mean(axis=0)).mean())

    def is_unchanged(clipped: Levels) -> bool:
        scores = ask(clipped)
        return scores is not None and float(np.abs(_centre(scores) - centred).mean()) <= _NEGLIGIBLE * spread

    return _find_window(is_unchanged, probes)


def measure_label_window(ask: Callable[[Levels], Labels], examples: Levels) -> float | None:
    """Return the share of the range that a suspect tells apart, as far as its labels show it.

    A label that changes proves that the levels which were clipped are told apart. That none does proves little, unless
    half of the range is clipped: examples lie near boundaries of classes, where such a change shows.

    Args:
        ask: Returns ``(n,)`` labels for ``(n, *shape)`` levels.
        examples: ``(n, *shape)`` levels of the examples; the first :data:`N_LABEL_PROBES` are used.

    Returns:
        A multiple of an eighth in [0, :data:`MAX_LABEL_WINDOW`]; ``None`` where it is larger, or not known.
    """
    probes = examples[:N_LABEL_PROBES]
    plain = ask(probes)
    window = _find_window(lambda clipped: bool((ask(clipped) == plain).all()), probes)
    return window if window <= MAX_LABEL_WINDOW else None


def _find_window(is_unchanged: Callable[[Levels], bool], probes: Levels) -> float:
    """Return the smallest window to which inputs can be clipped unchanged, from the lower end first."""
    last_level = 255 if probes.dtype == np.uint8 else 65535

    def holds(low: int, high: int) -> bool:
        # Rounded outwards: a level that the suspect tells apart is not cut off.
        least, most = last_level * low // EIGHTHS, -(-last_level * high // EIGHTHS)
        clipped: Any = np.clip(probes, least, most).astype(probes.dtype)
        return is_unchanged(clipped)

    low = _last(lambda eighth: holds(eighth, EIGHTHS))
    high = EIGHTHS - _last(lambda eighth: holds(low, EIGHTHS - eighth))
    return max(0, high - low) / EIGHTHS


def _last(holds: Callable[[int], bool]) -> int:
    """Return the largest of 0 to 8 for which a monotone predicate holds; it holds for 0."""
    first, beyond = 0, EIGHTHS + 1
    while beyond - first > 1:
        middle = (first + beyond) // 2
        if holds(middle):
            first = middle
        else:
            beyond = middle
    return first


def _centre(scores: Scores) -> NDArray[np.float64]:
    finite = np.nan_to_num(scores.astype(np.float64), posinf=1e30, neginf=-1e30)
    return np.asarray(finite - finite.mean(axis=1, keepdims=True))
