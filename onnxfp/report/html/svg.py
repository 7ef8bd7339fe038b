"""Figures by matplotlib, as SVG that belongs to the page it stands in.

matplotlib writes colours, fonts and identifiers of its own into every element. Here colours become classes, which the
page's stylesheet paints for light, dark and paper; text stays text, in the page's font; identifiers get the figure's
name in front, since several figures share one page; and what is left has no ``style`` attribute, so that the page can
forbid them. The same figure is always the same text.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from onnxfp.text import escape_text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NONE = "none"
INK, MUTED, RULE, BAND, PAPER = "#010000", "#020000", "#030000", "#040000", "#050000"
ACCENT, SECOND, ALARM = "#060000", "#070000", "#080000"
_ROLES = {
    "none": "none",
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    BAND: "band",
    PAPER: "paper",
    ACCENT: "accent",
    SECOND: "second",
    ALARM: "alarm",
}
"""What a colour is for; ``page.css`` says how it looks."""

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "onnxfp",
    "svg.id": None,
    # The labels of a figure may hold a stranger's text, which is no formula.
    "text.parse_math": False,
    "font.size": 11.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "figure.facecolor": NONE,
    "axes.facecolor": NONE,
}
WIDE, NARROW = 700, 340
_KEPT = frozenset(
    {
        "font-size",
        "font-weight",
        "text-anchor",
        "stroke-width",
        "stroke-dasharray",
        "stroke-dashoffset",
        "opacity",
        "fill-opacity",
        "stroke-opacity",
        "fill-rule",
    }
)
_DROPPED = frozenset(
    {
        "font-family",
        "font-style",
        "font-variant",
        "font-stretch",
        "stroke-linejoin",
        "stroke-linecap",
        "stroke-miterlimit",
        "white-space",
    }
)
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_NO_TURN = re.compile(r"rotate\(-?0 [^)]*\)")


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure of a page.

    Attributes:
        title: What it shows.
        caption: How to read it.
        svg: One or two ``<svg>`` elements: for a wide column, and for a phone.
    """

    title: str
    caption: str
    svg: Markup


def draw(
    name: str,
    title: str,
    caption: str,
    description: str,
    paint: Callable[[Axes, bool], None],
    *,
    height: int,
    narrow_height: int | None = None,
    is_half: bool = False,
) -> Drawing:
    """Return a figure.

    Args:
        name: Identifier, of letters; the page must have no other of that name.
        title: What it shows.
        caption: How to read it.
        description: What can be seen on it, for those who cannot see it.
        paint: Paints onto axes; told whether they are narrow.
        height: Height in pixels, where it is as wide as the page's column.
        narrow_height: Height where it is as wide as a phone; ``None`` takes the same.
        is_half: Whether it is never wider than half the column, so that one drawing serves both.
    """
    narrow = _draw_one(f"{name}-narrow", title, description, paint, NARROW, narrow_height or height, is_narrow=True)
    if is_half:
        return Drawing(title, caption, narrow)
    wide = _draw_one(f"{name}-wide", title, description, paint, WIDE, height, is_narrow=False)
    return Drawing(
        title,
        caption,
        wide.replace("<svg ", Markup('<svg class="wide" '), 1)
        + Markup("\n")
        + narrow.replace("<svg ", Markup('<svg class="narrow" '), 1),
    )


def mark_threshold(
    axes: Axes, least: int | None, n_examples: int, height: float, *, is_narrow: bool, zorder: float
) -> None:
    """Draw the fewest matches of a MATCH as a dashed line with its label, on an axis from 0 to ``n_examples``.

    Args:
        axes: Where it goes.
        least: Fewest matches; without any, nothing is drawn.
        n_examples: Number of examples, the end of the axis.
        height: Where the label goes, in units of the other axis.
        is_narrow: Whether the drawing is for a narrow screen: the label is shorter.
        zorder: matplotlib's order of the line among what is drawn.
    """
    if least is None:
        return
    axes.axvline(least, color=INK, linewidth=1, dashes=(4, 3), zorder=zorder)
    is_right = least > n_examples / 2
    axes.text(
        least + (-0.008 if is_right else 0.008) * n_examples,
        height,
        f"{least} for MATCH" if is_narrow else f"{least} matches are a MATCH",
        color=INK,
        ha="right" if is_right else "left",
        va="center",
    )


def _draw_one(
    name: str,
    title: str,
    description: str,
    paint: Callable[[Axes, bool], None],
    width: int,
    height: int,
    *,
    is_narrow: bool,
) -> Markup:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**mpl.rcParamsDefault, **_SETTINGS}), warnings.catch_warnings():
        # Its own font only measures; the page's fonts have to have the letters.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        paint(figure.add_subplot(), is_narrow)
        text = _save(figure)
    # Names may hold what XML forbids.
    return _to_page("\n".join(map(escape_text, text.split("\n"))), name, title, description)


def _save(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    return stream.getvalue()


def _to_page(text: str, name: str, title: str, description: str) -> Markup:
    from xml.etree import ElementTree as ET

    root = ET.fromstring(text)  # noqa: S314 - matplotlib wrote it, and escaped what it was given
    for parent in list(root.iter()):
        for child in list(parent):
            # Its only style sheet repeats what page.css says; its metadata is about matplotlib.
            if _plain(child.tag) in ("metadata", "style"):
                parent.remove(child)
    used = {
        match
        for element in root.iter()
        for value in element.attrib.values()
        for match in re.findall(r"#([\w.-]+)", value)
    }
    for element in root.iter():
        _clean(element, name, used)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-description",
    }
    for place, (kind, words) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(kind, id=f"{name}-{'title' if kind == 'title' else 'description'}")
        element.text = escape_text(words)
        root.insert(place, element)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - built and escaped by ElementTree


def _plain(name: str) -> str:
    return name.rpartition("}")[2]


def _clean(element: Element, name: str, used: set[str]) -> None:
    element.tag = _plain(element.tag)
    element.tail = "\n" if element.tag in ("g", "text") else None
    if element.tag != "text":
        element.text = None
    attributes: dict[str, str] = {}
    classes: list[str] = []
    for key, value in element.attrib.items():
        key = _plain(key)
        if key == "style":
            _apply_style(value, attributes, classes)
        elif key != "id" or value in used:
            value = _rename_references(key, value, name)
            if value:
                attributes[key] = " ".join(_NUMBER.sub(_shorten, value).split())
    if element.tag == "text" and not any(word.startswith("fill-") for word in classes):
        classes.append("fill-ink")
    if classes:
        attributes["class"] = " ".join(classes)
    element.attrib = attributes


def _apply_style(style: str, attributes: dict[str, str], classes: list[str]) -> None:
    """Turn the declarations of a ``style`` attribute into attributes and classes."""
    for declaration in filter(None, (part.strip() for part in style.split(";"))):
        what, _, how = (part.strip() for part in declaration.partition(":"))
        if what in ("fill", "stroke"):
            classes.append(f"{what}-{_ROLES[how]}")
        elif what in _KEPT:
            attributes[what] = how
        elif what not in _DROPPED:
            raise AssertionError(f"matplotlib wrote {declaration!r}, of which nothing is known here")


def _rename_references(key: str, value: str, name: str) -> str:
    """Return an attribute's value with the figure's name in front of identifiers, and without turns by nothing."""
    if key == "id":
        return f"{name}-{value}"
    if key in ("href", "clip-path"):
        return value.replace("#", f"#{name}-")
    return _NO_TURN.sub("", value).strip() if key == "transform" else value


def _shorten(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}"
