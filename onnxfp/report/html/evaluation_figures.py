"""The figures of an evaluation: who lies on which side of the threshold, and what pruning does to a copy.

Filled marks are a MATCH, open ones are not; circles are modified copies, squares unassociated models, crosses copies
that are broken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxfp.evidence.verdict import Verdict
from onnxfp.report.html import svg
from onnxfp.report.html.formatting import percent
from onnxfp.report.html.svg import Drawing, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from onnxfp.evidence.statistics import Estimate
    from onnxfp.report.evaluation import Evaluation, Outcome, Row

_HALF = 268
_PRUNING = "prun"
_LEVELS = (0.0, 0.25, 0.5, 0.75)


def draw_strip(evaluation: Evaluation, groups: Sequence[tuple[str, Sequence[Row]]], n_examples: int) -> Drawing:
    """Return the models around the threshold, a line for each family.

    Args:
        evaluation: The outcome.
        groups: Families in words with their rows; rows without an outcome are left out.
        n_examples: Number of examples that each was asked.
    """
    least = evaluation.min_matches
    lines = [(family, [row for row in rows if row.outcome is not None]) for family, rows in groups]
    lines = [(family, rows) for family, rows in lines if rows]
    top = len(lines) - 1

    def paint(axes: Axes, is_narrow: bool) -> None:
        svg.mark_threshold(axes, least, n_examples, top + 0.85, is_narrow=is_narrow, zorder=1)
        axes.hlines(range(len(lines)), 0, n_examples, color=svg.RULE, linewidth=0.7, zorder=0)
        for place, (family, rows) in enumerate(lines):
            height = top - place
            if is_narrow:
                axes.annotate(
                    family,
                    (0, height),
                    xytext=(0, 13),
                    textcoords="offset points",
                    color=svg.MUTED,
                    va="center",
                    fontsize=10.5,
                )
            stacked: Counter[int] = Counter()
            for row in rows:
                if row.outcome is not None:
                    # Equal counts would hide each other: they stand beside the line, in turn above and below.
                    spot = round(row.outcome.counts.n_matches / n_examples * (30 if is_narrow else 60))
                    turn = stacked[spot]
                    stacked[spot] += 1
                    step = (turn + 1) // 2 * (0.13 if turn % 2 else -0.13)
                    _mark(axes, row, row.outcome.counts.n_matches, height + max(-0.39, min(0.39, step)))
        axes.set(xlim=(0, n_examples), ylim=(-0.6, top + 1.15), xlabel=f"matches, of {n_examples} examples")
        axes.set_yticks(
            [] if is_narrow else [top - place for place in range(len(lines))],
            [] if is_narrow else [family for family, _ in lines],
        )
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)

    description = f"From {least} matches on it is a MATCH. " if least is not None else "No count is a MATCH. "
    description += " ".join(
        f"{family}: {', '.join(str(row.outcome.counts.n_matches) for row in rows if row.outcome is not None)}."
        for family, rows in lines
    )
    return draw(
        "strip",
        "Every model and the threshold",
        "Filled marks are a MATCH. Circles are modified copies of the base, squares models that owe it nothing; "
        "crosses are copies that lost so much that nobody would use them.",
        description,
        paint,
        height=74 + 25 * len(lines),
        narrow_height=78 + 40 * len(lines),
    )


def draw_pruning(evaluation: Evaluation) -> list[Drawing]:
    """Return match rate and usefulness against the share that was pruned, a figure for each way of pruning."""
    families: dict[str, list[tuple[float, Row, Outcome]]] = {}
    for row in evaluation.rows:
        if _PRUNING in row.family.lower() and row.parameter is not None and row.outcome is not None:
            families.setdefault(row.family, []).append((row.parameter, row, row.outcome))
    drawings = []
    for number, (family, points) in enumerate(families.items()):
        if len(points) >= 2:
            points.sort(key=lambda point: point[0])
            drawings.append(_draw_pruning(evaluation, family, points, f"pruning{number}"))
    return drawings


def _draw_pruning(evaluation: Evaluation, family: str, points: list[tuple[float, Row, Outcome]], name: str) -> Drawing:
    usefulness = evaluation.usefulness
    shares = [100 * share for share, _, _ in points]
    matches = [100 * outcome.match_rate for _, _, outcome in points]
    useful = [100 * outcome.usefulness for _, _, outcome in points]
    base = 100 * usefulness.base_rate

    def paint(axes: Axes, _: bool) -> None:
        _percent_axes(axes)
        if evaluation.min_matches is not None:
            needed = 100 * evaluation.min_matches / points[0][2].counts.n_asked
            axes.axhline(needed, color=svg.INK, linewidth=1, dashes=(4, 3), zorder=1)
        axes.plot([0, *shares], [base, *useful], color=svg.SECOND, linewidth=1.6, dashes=(5, 2.5), zorder=2)
        axes.plot(shares, useful, "s", color=svg.SECOND, markersize=5, zorder=2)
        axes.plot([0, *shares], [100, *matches], color=svg.ACCENT, linewidth=2, zorder=3)
        for point, match in zip(points, matches, strict=True):
            _mark(axes, point[1], 100 * point[0], match)
        axes.set(xlim=(-2, max(shares) + 4), ylim=(-4, 104), xlabel="pruned, %", ylabel="%")
        axes.set_xticks([0, *shares] if len(shares) <= 8 else range(0, 101, 20))

    table = "; ".join(
        f"pruned {share:.0f}%: match rate {match:.0f}%, {usefulness.measure} {use:.0f}%"
        for share, match, use in zip(shares, matches, useful, strict=True)
    )
    return draw(
        name,
        family[:1].upper() + family[1:],
        "",
        f"Match rate and usefulness against the share of weights pruned. {table}.",
        paint,
        height=_HALF,
        is_half=True,
    )


def draw_plane(evaluation: Evaluation) -> Drawing | None:
    """Return robustness against transferability, or ``None`` where one of them was not measured."""
    summary = evaluation.summary
    across, up, score = summary.transferability, summary.robustness, summary.uniqueness_score
    worst_across, worst_up = summary.worst_transferability, summary.worst_robustness
    if across is None or up is None or score is None or worst_across is None or worst_up is None:
        return None

    def paint(axes: Axes, _: bool) -> None:
        _percent_axes(axes)
        for level in _LEVELS:
            axes.plot([0, 100 * (1 - level)], [100 * level, 100], color=svg.RULE, linewidth=0.9, zorder=0)
            axes.text(100 * (1 - level), 103, f"U = {level:g}", color=svg.MUTED, fontsize=9.5, ha="center", va="bottom")
        for transfer, survival, is_filled in ((worst_across, worst_up, False), (across, up, True)):
            x, y = 100 * transfer.value, 100 * survival.value
            axes.plot(_ends(transfer), [y, y], color=svg.ACCENT, linewidth=1.3)
            axes.plot([x, x], _ends(survival), color=svg.ACCENT, linewidth=1.3)
            axes.plot(
                [x],
                [y],
                "D",
                markersize=8,
                color=svg.ACCENT if is_filled else svg.PAPER,
                markeredgecolor=svg.ACCENT,
                markeredgewidth=1.6,
                clip_on=False,
            )
        axes.set(xlim=(0, 100), ylim=(0, 112), xlabel="transferability, %", ylabel="robustness, %")

    return draw(
        "plane",
        "Robustness against transferability",
        f"Filled: the mean; open: the worst case; lines through them: {summary.confidence:.0%} intervals. The "
        "uniqueness score U is the height above the lowest diagonal.",
        f"The means lie at transferability {percent(across.value)} and robustness {percent(up.value)}, a "
        f"uniqueness score of {score.value:.2f}; the worst cases at {percent(worst_across.value)} and "
        f"{percent(worst_up.value)}.",
        paint,
        height=_HALF,
        is_half=True,
    )


def draw_curves(evaluation: Evaluation, n_examples: int) -> Drawing | None:
    """Return convicted variants and spared references at every threshold; ``None`` where one group is empty."""
    variants, references = (
        np.array([row.outcome.match_rate for row in rows if row.outcome is not None])
        for rows in (evaluation.variants, evaluation.references)
    )
    aruc = evaluation.summary.aruc
    if aruc is None or not len(variants) or not len(references):
        return None
    thresholds = np.arange(n_examples + 1) / n_examples
    convicted = np.array([(variants >= t - 1e-9).mean() for t in thresholds])
    spared = np.array([(references < t - 1e-9).mean() for t in thresholds])

    def paint(axes: Axes, _: bool) -> None:
        _percent_axes(axes)
        across = 100 * thresholds
        axes.fill_between(across, 0, 100 * np.minimum(convicted, spared), step="pre", color=svg.BAND, linewidth=0)
        axes.step(across, 100 * convicted, where="pre", color=svg.ACCENT, linewidth=2)
        axes.step(across, 100 * spared, where="pre", color=svg.SECOND, linewidth=1.8, dashes=(5, 2.5))
        if evaluation.min_matches is not None:
            axes.axvline(100 * evaluation.min_matches / n_examples, color=svg.INK, linewidth=1, dashes=(4, 3))
        axes.set(xlim=(0, 100), ylim=(0, 104), xlabel="match rate demanded, %", ylabel="models, %")

    chosen = evaluation.min_matches
    at = (
        f" At the threshold of {chosen} matches, {convicted[chosen]:.0%} of the copies are convicted and "
        f"{spared[chosen]:.0%} of the others spared."
        if chosen is not None and chosen <= n_examples
        else ""
    )
    return draw(
        "curves",
        "What other thresholds would do",
        "Line: copies convicted. Dashes: unassociated models spared. The shaded area is ARUC; the upright dashes are "
        "the threshold.",
        f"Shares of copies convicted and of unassociated models spared, by threshold; the area under both is "
        f"{aruc.value:.2f}.{at}",
        paint,
        height=_HALF,
        is_half=True,
    )


def _mark(axes: Axes, row: Row, x: float, y: float) -> None:
    if row.is_broken:
        axes.plot([x], [y], "x", markersize=6.5, color=svg.MUTED, markeredgewidth=1.6, clip_on=False, zorder=4)
        return
    colour = svg.SECOND if row.role == "reference" else svg.ACCENT
    is_match = row.outcome is not None and row.outcome.verdict is Verdict.MATCH
    axes.plot(
        [x],
        [y],
        "s" if row.role == "reference" else "o",
        markersize=7,
        color=colour if is_match else svg.PAPER,
        markeredgecolor=colour,
        markeredgewidth=1.5,
        clip_on=False,
        zorder=5,
    )


def _percent_axes(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.grid(axis="y")
    axes.set_yticks(range(0, 101, 25))


def _ends(estimate: Estimate) -> list[float]:
    return [100 * estimate.interval.lower, 100 * estimate.interval.upper]
