"""Figures that belong to their page."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from onnxfp.report.html import svg
from onnxfp.report.html.svg import Drawing, draw


def paint(axes: Any, is_narrow: bool) -> None:
    axes.plot([0, 1], [0, 1], "o--", color=svg.ACCENT, markeredgecolor=svg.PAPER)
    axes.fill_between([0, 1], [0, 0.5], color=svg.BAND)
    axes.text(0.1, 0.5, "narrow" if is_narrow else "wide", color=svg.INK)
    axes.grid()


def drawing(text: str = "label", *, is_half: bool = False) -> Drawing:
    def with_text(axes: Any, is_narrow: bool) -> None:
        paint(axes, is_narrow)
        axes.set_xlabel(text)

    return draw("name", "Title", "Caption", "What is seen", with_text, height=200, is_half=is_half)


def test_the_same_figure_is_the_same_text() -> None:
    assert drawing() == drawing()


def test_the_stylesheet_paints_every_colour() -> None:
    figure = drawing().svg
    assert "style=" not in figure
    assert "#0" not in figure
    assert "font-family" not in figure
    stylesheet = files("onnxfp.report.html").joinpath("templates", "page.css").read_text(encoding="utf-8")
    used = {word for words in re.findall(r'class="(.*?)"', figure) for word in words.split()}
    assert {"fill-none", "fill-ink", "fill-band", "stroke-accent", "stroke-rule"} <= used
    for name in {f"{kind}-{role}" for kind in ("fill", "stroke") for role in svg._ROLES.values()}:
        assert f".{name} {{" in stylesheet


def test_a_colour_of_no_role_is_a_bug() -> None:
    def red(axes: Any, _: bool) -> None:
        axes.plot([0, 1], color="red")

    with pytest.raises(KeyError, match="#ff0000"):
        draw("name", "T", "C", "D", red, height=100)


def test_text_stays_text_and_is_no_formula() -> None:
    figure = drawing("cost $x$ <script>&amp; \x1b[2J\u202e 中文")
    texts = [element.text for element in ET.fromstring(f"<div>{figure.svg}</div>").iter("text")]
    assert r"cost $x$ <script>&amp; \x1b[2J\u202e 中文" in texts


def test_there_is_one_for_the_desk_and_one_for_the_phone() -> None:
    both = list(ET.fromstring(f"<div>{drawing().svg}</div>"))
    assert [element.attrib["class"] for element in both] == ["wide", "narrow"]
    assert [element.attrib["viewBox"] for element in both] == ["0 0 700 200", "0 0 340 200"]
    words = [{text.text for text in element.iter("text")} for element in both]
    assert "wide" in words[0]
    assert "narrow" in words[1]
    half = list(ET.fromstring(f"<div>{drawing(is_half=True).svg}</div>"))
    assert [element.attrib.get("class") for element in half] == [None]


def test_it_is_named_for_those_who_cannot_see_it_and_shares_no_identifier() -> None:
    root = ET.fromstring(f"<div>{drawing().svg}</div>")
    names = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(names) == len(set(names))
    assert all(name.startswith("name-") for name in names)
    for element in root:
        assert element.attrib["role"] == "img"
        title, description = element.attrib["aria-labelledby"].split()
        texts = {part.attrib["id"]: part.text for part in element.iter() if "id" in part.attrib}
        assert (texts[title], texts[description]) == ("Title", "What is seen")
    # What is referred to is there.
    text = str(drawing().svg)
    for target in re.findall(r'#([\w.-]+)[")]', text):
        assert f'id="{target}"' in text
