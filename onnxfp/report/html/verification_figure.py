"""The figure of a verification: the suspect's matches on one line with what unassociated models may match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxfp.report.html import svg
from onnxfp.report.html.svg import Drawing, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from onnxfp.evidence.null import ReferenceCount
    from onnxfp.report.verification import Report

_ROW_PIXELS, _MARGIN_PIXELS = 54, 66


def draw_match_line(report: Report) -> Drawing:
    """Return the figure of a verification."""
    counts, least = report.counts, report.decision.min_matches
    n = counts.n_asked
    expected, upper = (min(n, rate * counts.n_candidates) for rate in (report.null.rate, report.null.upper))
    pools = [
        pool
        for pool in (
            ("References of the verifier", report.verifier_references),
            ("References of the owner", report.owner_references),
        )
        if pool[1]
    ]

    def paint(axes: Axes, is_narrow: bool) -> None:
        height = len(pools) + 1
        svg.mark_threshold(axes, least, n, height + 0.62, is_narrow=is_narrow, zorder=2)
        axes.hlines(range(1, height + 1), 0, n, color=svg.RULE, linewidth=0.7, zorder=0)
        _label(axes, height, "The suspect")
        axes.hlines(
            height, *(np.array([report.interval.lower, report.interval.upper]) * n), color=svg.ACCENT, linewidth=2
        )
        axes.plot([counts.n_matches], [height], marker="D", markersize=9, color=svg.ACCENT, clip_on=False)
        for row, (label, pool) in enumerate(pools):
            _label(axes, height - 1 - row, label)
            _dots(axes, height - 1 - row, pool, n)
        _label(axes, 0, "Unassociated models")
        axes.barh([0], [upper], height=0.26, color=svg.BAND)
        axes.plot([expected] * 2, [-0.17, 0.17], color=svg.MUTED, linewidth=2)
        axes.set(xlim=(0, n), ylim=(-0.5, height + 0.95), yticks=[], xlabel=f"matches, of {n} examples")
        axes.spines["left"].set_visible(False)

    references = "; ".join(
        f"{label.lower()} at {', '.join(str(round(reference.rate * n)) for reference in pool[:20])}"
        for label, pool in pools
    )
    description = (
        f"A line from 0 to {n} matches. The suspect stands at {counts.n_matches}. Unassociated models are expected at "
        f"{expected:.0f}, and 99 in a hundred of them up to {upper:.0f}. "
        + (f"From {least} on it is a match." if least is not None else "No count is a match.")
        + (f" {references[0].upper()}{references[1:]}." if references else "")
    )
    return draw(
        "matches",
        "The suspect among models that owe the base nothing",
        f"The diamond is the suspect, the line through it its {report.policy.confidence:.0%} interval"
        + ("; circles are references that were measured" if pools else "")
        + "; the bar is what 99 in a hundred unassociated models stay within, the mark on it their mean.",
        description,
        paint,
        height=_MARGIN_PIXELS + _ROW_PIXELS * (len(pools) + 2),
    )


def _label(axes: Axes, row: int, text: str) -> None:
    axes.annotate(
        text, (0, row), xytext=(0, 16), textcoords="offset points", color=svg.MUTED, va="center", fontsize=11.5
    )


def _dots(axes: Axes, row: int, pool: tuple[ReferenceCount, ...], n: int) -> None:
    axes.plot(
        [reference.rate * n for reference in pool],
        [row] * len(pool),
        "o",
        markersize=7,
        color=svg.PAPER,
        markeredgecolor=svg.SECOND,
        markeredgewidth=1.6,
        clip_on=False,
    )
