"""How far a classifier is from a linear one, by its answers alone.

Training a linear classifier has one best end, to which every start leads. Two that were trained on halves of the same
data are nearly one function, and agree on inputs far from all data. No fingerprint tells a copy of such a model from
another one, so that no prior of deep networks applies to it.

The answers decide, and not the graph. Two inputs ``a`` and ``b`` exchange a random half of their values, which gives
``c`` and ``d``. A linear model has ``f(a) + f(b) = f(c) + f(d)``, exactly and without rounding, since all four lie on
the grid of the inputs. So has a linear model behind any function of single pixels (Clip, Relu, Pow, Round, Where), for
which training has one end as well.

* *Curvature* is the mean size of ``f(a) + f(b) - f(c) - f(d)`` in mean differences of the four.
* Two classes are *crossed* where ``a`` and ``b`` prefer one of them, and ``c`` and ``d`` the other. A linear model
  crosses none, whatever increasing function makes its scores: normalised sigmoids, for instance, look curved. Labels
  that are crossed are the same thing, seen without scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_CURVATURE = 0.5
"""Curvature below which a model is nearly linear. Source: benchmarks/LINEARITY.md."""

MIN_CROSSED = 0.005
"""Share of crossed pairs of classes below which a model is nearly linear. Source: benchmarks/LINEARITY.md."""

MIN_CROSSED_LABELS = 2
"""Quadruples with crossed labels that show that a model is not nearly linear: one may be a tie that was rounded."""

MIN_QUADRUPLES = 24
"""Quadruples with one label for ``a`` and ``b``, from which on labels that are not crossed show that a model is
nearly linear."""

# Values nearer to 0 or 1 than this many steps of the output are mostly rounding.
_STEPS = 16
_MIN_SHARE = 0.5
# Each class is paired with those so many places away, in both directions.
_N_SHIFTS = 8


@dataclass(frozen=True, slots=True)
class Curvature:
    """Distance of a classifier from a linear one.

    Attributes:
        size: Curvature of the scores, at least 0; ``None`` where scores show none.
        crossed: Share in [0, 1] of pairs of classes that are crossed, over all quadruples; ``None`` without scores.
        n_crossed_labels: Quadruples whose labels are crossed.
        n_quadruples: Quadruples whose labels could be: ``a`` and ``b`` have one label.
    """

    size: float | None
    crossed: float | None
    n_crossed_labels: int
    n_quadruples: int


def is_nearly_linear(curvature: Curvature) -> bool | None:
    """Return whether a classifier is so nearly linear that independent trainings may lead to it.

    Scores decide where there are any: all that they show must be beyond its limit. Labels decide otherwise.

    Returns:
        ``None`` where the answers do not show it.
    """
    if curvature.crossed is not None:
        shown = ((curvature.size, MIN_CURVATURE), (curvature.crossed, MIN_CROSSED))
        return any(value is not None and value < least for value, least in shown)
    if curvature.n_crossed_labels >= MIN_CROSSED_LABELS:
        return False
    return True if curvature.n_quadruples >= MIN_QUADRUPLES else None


def measure_curvature(scores: NDArray[np.float32]) -> float | None:
    """Return the curvature that scores show: the smallest of their readings as values, logarithms and log-odds.

    Args:
        scores: ``(n, 4, n_classes)`` finite scores of ``a``, ``b``, ``c`` and ``d``.

    Returns:
        Unitless, at least 0. ``None`` where a reading cannot be taken: it could have been the one in which the model is
        linear.
    """
    values = scores.astype(np.float64)
    found = [_ratio(values, np.ones(values.shape, bool))]
    if values.min() >= 0 and values.max() <= 1:
        distinct = np.unique(values)
        # The step of an output that is rounded; that of floating-point numbers is far below.
        lower = max(_STEPS * np.diff(distinct[distinct > 0]).min(initial=1.0), 1e-30)
        is_low, is_high = values < lower, values > 1 - lower
        logarithms = np.log(np.maximum(values, lower))
        found.append(_ratio(logarithms, ~is_low))
        found.append(_ratio(logarithms - np.log(np.maximum(1 - values, lower)), ~(is_low | is_high)))
    known = [ratio for ratio in found if ratio is not None]
    return min(known) if len(known) == len(found) or (known and min(known) < MIN_CURVATURE) else None


def measure_crossed(scores: NDArray[np.float32]) -> float:
    """Return the share of pairs of classes that are crossed; of many classes, each is paired with sixteen others.

    Args:
        scores: ``(n, 4, n_classes)`` scores of ``a``, ``b``, ``c`` and ``d``.

    Returns:
        Unitless, in [0, 1].
    """
    n_classes = scores.shape[2]
    n_crossed = n_pairs = 0
    for shift in range(1, min(n_classes // 2, _N_SHIFTS) + 1):
        # Half a turn meets every pair twice.
        n_firsts = n_classes // 2 if 2 * shift == n_classes else n_classes
        ahead = np.sign(scores - np.roll(scores, shift, axis=2))[:, :, :n_firsts]
        a, b, c, d = ahead.transpose(1, 0, 2)
        n_crossed += int(((a == b) & (c == d) & (a == -c) & (a != 0)).sum())
        n_pairs += a.size
    return n_crossed / n_pairs


def count_crossed_labels(labels: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many quadruples have crossed labels, and how many could have.

    Args:
        labels: ``(n, 4)`` labels of ``a``, ``b``, ``c`` and ``d``; -1 where there is none.
    """
    a, b, c, d = labels.T
    could_be = (a == b) & (labels >= 0).all(axis=1)
    return int((could_be & (c == d) & (c != a)).sum()), int(could_be.sum())


def _ratio(values: NDArray[np.float64], is_known: NDArray[np.bool_]) -> float | None:
    """Return the mean second difference over the mean first one, of classes that are known in all of a quadruple."""
    known = np.asarray(is_known.all(axis=1, keepdims=True))
    n_known = known.sum(axis=2, keepdims=True)
    usable = (n_known >= 2)[:, 0, 0]
    if usable.mean() < _MIN_SHARE:
        return None
    known, n_known, values = known[usable], n_known[usable], np.where(known, values, 0.0)[usable]
    a, b, c, d = np.where(known, values - values.sum(axis=2, keepdims=True) / n_known, 0.0).transpose(1, 0, 2)
    second = float(np.abs(a + b - c - d).sum())
    pairs = ((a, b), (a, c), (a, d), (b, c), (b, d), (c, d))
    first = sum(float(np.abs(one - other).sum()) for one, other in pairs) / len(pairs)
    # A constant model is as linear as any.
    return second / first if first > 0 else 0.0
