"""What STRENGTH.md was aimed at, and how far its held-out bases are from it: read out of its own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

HEADING = "## How far from the aims"
TEXT = """\
On the bases on which nothing was chosen: the match rate in percent of the theft of each row that matches least, or what
the summary says; by the default, and by the arm of the tables below that does best in the row. In bold what is reached.
Broken products do not count. An arm that does best in one row pays for it in others.
"""


@dataclass(frozen=True, slots=True)
class Aim:
    """One row.

    Attributes:
        name: What it is, in words.
        pattern: The thefts, or the row of the summary, by name.
        goal: Percent that are wanted.
        is_most: Whether less is better.
        left: Percent of the base's answers that a theft must have left to count.
    """

    name: str
    pattern: str
    goal: int
    is_most: bool = False
    left: int = 0


AIMS = (
    Aim("float16, int8, 8 bits a pixel, JPEG 90 and 75", r"float16|int8-\w+|query-8-bits|query-jpeg-(90|75)", 95),
    Aim("pruned, with or without repair", r"prune-(global|layer|adaptive|repair)-.*|drop-channels-.*", 95, left=60),
    Aim("batch normalisation re-estimated", r"bn-reestimated-\d+", 80, left=45),
    Aim("last layer, all layers tuned at a small rate", r"ft(ll|al)-2", 90),
    Aim("unassociated models, mean", "transferability, mean", 3, is_most=True),
    Aim("unassociated models, worst", "transferability, worst", 20, is_most=True),
    Aim("uniqueness score, mean", r"\*\*uniqueness score, mean\*\*", 90),
    Aim("uniqueness score, worst", r"\*\*uniqueness score, worst\*\*", 50),
    Aim("pruned by 80 %, fine-tuned", r"prune-finetune-0\.8", 30),
    Aim("new last layer, all layers trained", "rtal-2", 30),
    Aim("extracted by hard labels, same architecture", "extract-10", 30),
    Aim("shifted by one pixel", "query-shift-1", 30),
)


def aims(sections: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Yield the lines that compare sections of the table with the aims.

    Args:
        sections: The Markdown of a group of bases and the name of its default arm, by a name for the group.
    """
    yield HEADING
    yield ""
    yield TEXT
    columns = [f"{group}, {what}" for group in sections for what in ("default", "best")]
    yield "| aim | " + " | ".join(columns) + " |"
    yield "|---" * (1 + len(columns)) + "|"
    for aim in AIMS:
        cells = [cell for section, default in sections.values() for cell in _cells(aim, section, default)]
        name = f"{aim.name}, {aim.left} % left" if aim.left else aim.name
        yield f"| {name}: {aim.goal} or {'less' if aim.is_most else 'more'} | {' | '.join(cells)} |"
    yield ""


def _cells(aim: Aim, section: str, default: str) -> tuple[str, str]:
    """Return what the default and the best arm do for one aim."""
    sign = -1 if aim.is_most else 1
    found: dict[str, tuple[int, str]] = {}
    for name, row in _rows(section):
        if not re.fullmatch(aim.pattern, name) or int((row.get("left") or "100%").split("%")[0]) < aim.left:
            continue
        for arm, cell in row.items():
            # In brackets stand broken products.
            if arm != "left" and not cell.startswith("("):
                value = _percent(cell)
                found[arm] = min(found.get(arm, (value, name)), (value, name), key=lambda pair: sign * pair[0])
    if not found:
        return "not made", "not made"
    best = max(found, key=lambda arm: sign * found[arm][0])
    several = len({name for name, _ in _rows(section) if re.fullmatch(aim.pattern, name)}) > 1

    def shown(arm: str, *notes: str) -> str:
        value, theft = found[arm]
        text = f"**{value}**" if sign * value >= sign * aim.goal else str(value)
        notes = (*notes, theft) if several and value < 100 else notes
        return f"{text} ({', '.join(notes)})" if notes else text

    return shown(default), shown(best, best)


def _rows(section: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield every row of a section's tables: its name, and its cells by the names of their columns."""
    columns: list[str] = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = cells
        elif not cells[0].startswith("---"):
            yield cells[0], dict(zip(columns[1:], cells[1:], strict=True))


def _percent(cell: str) -> int:
    """Return a rate in percent: those of thefts are, those of the summary lie in [0, 1] and have an interval."""
    value = cell.split(" ")[0]
    return round(100 * float(value)) if "." in value else int(value)
