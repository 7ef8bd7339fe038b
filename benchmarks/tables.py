"""The committed tables, of which a section can be measured again alone."""

from __future__ import annotations

from pathlib import Path


def kept_section(table: Path, heading: str) -> str:
    """Return a section that is in a table already, with its heading.

    Args:
        table: The Markdown file.
        heading: The whole line that the section begins with; a section ends at the next ``##``.

    Returns:
        Its text, or nothing if the table has no such section.
    """
    _, found, after = table.read_text(encoding="utf-8").partition(f"\n{heading}\n")
    return (found + after.partition("\n## ")[0]).strip() if found else ""
