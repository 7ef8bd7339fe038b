"""What a reader of an HTML page sees."""

from __future__ import annotations

import html
import re


def words_of(page: str) -> str:
    """Return what a page says, without its marks, figures and folded details."""
    body = re.sub(r"<(style|svg|details)\b.*?</\1>", " ", page, flags=re.DOTALL)
    body = re.sub(r"</(?:td|th|dt|dd|span|p|h1|h2|li|div)>", " ", body)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", body)).split())
