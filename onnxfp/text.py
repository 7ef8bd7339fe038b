r"""The one sanitiser of strangers' text: names and messages out of files that others wrote, for a person to read.

A character is *printable* as ``str.isprintable`` defines it. The rest is escaped: control characters and terminal
escapes, marks that change the direction of writing, line and paragraph separators, unassigned code points, and lone
surrogates, which could not even be written to a file.
"""

from __future__ import annotations

MAX_QUOTED = 100
"""Longest quotation in a message, in characters before they are escaped."""


def escape_text(text: str, max_length: int | None = None, *, keep_lines: bool = False) -> str:
    r"""Return ``text`` fit for a terminal, a record and a page: every character that is not printable is escaped.

    Text that is fit already comes back as it was, so that escaping twice changes nothing.

    Args:
        text: Any text.
        max_length: Longest result, in characters; the rest is cut off. ``None`` cuts nothing.
        keep_lines: Whether line feeds stay, for text that is shown over several lines.

    >>> escape_text("a\x1b[2Jb\u202egnp")
    'a\\x1b[2Jb\\u202egnp'
    """
    # Cut before as well: a stranger's text may be long, and escapes make it longer.
    text = text[:max_length]
    if not text.isprintable():
        text = "".join(c if c.isprintable() or (keep_lines and c == "\n") else ascii(c)[1:-1] for c in text)
    return text[:max_length]


def quote_text(text: str, max_length: int = MAX_QUOTED) -> str:
    r"""Return ``text`` in quotation marks, for a name in a message; whatever is not ASCII is escaped.

    A letter that only looks like another one is told apart, and no quotation mark of the text ends the quotation.

    Args:
        text: Any text.
        max_length: Characters that are shown; three dots after the quotation say that there are more.

    >>> quote_text("\u0430lice"), quote_text("abc", 2)
    ("'\\u0430lice'", "'ab'...")
    """
    return ascii(text[:max_length]) + ("..." if len(text) > max_length else "")
