"""What a visitor sees: the pages as a real browser shows them, on a desk, on a phone, in the dark and on paper."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

PAGES = ("match", "no-match", "inconclusive", "hostile", "evaluation", "bare-evaluation")

MIN_CONTRAST = 4.5
"""Of text on its ground, as WCAG 2.2 demands at level AA."""

VISIBLE_TEXT = """
const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = element => {
    for (let e = element; e; e = e.parentElement) {
        const colour = rgb(getComputedStyle(e).backgroundColor);
        if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    const box = element.getBoundingClientRect();
    if (!text || !box.width || ['title', 'desc', 'STYLE'].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const a = light(rgb(element.namespaceURI.endsWith('svg') ? style.fill : style.color)), b = light(ground(element));
    found.push({text: text.slice(0, 60), contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05),
                size: parseFloat(style.fontSize), dark: light(ground(element)) < 0.2});
}
return found;
"""

FIGURES = """
return [...document.querySelectorAll('figure')].map(figure => {
    const seen = [...figure.querySelectorAll('svg, img')].filter(e => e.getBoundingClientRect().width);
    return {shown: seen.length, width: seen[0]?.getBoundingClientRect().width,
            height: seen[0]?.getBoundingClientRect().height,
            loaded: seen[0]?.tagName !== 'IMG' || seen[0].naturalWidth > 0,
            marks: seen[0]?.querySelectorAll('path, use').length,
            name: seen[0]?.getAttribute('alt') || [...(seen[0]?.getAttribute('aria-labelledby') || '').split(' ')]
                .map(id => document.getElementById(id)?.textContent || '').join(' ')};
});
"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_quietly_and_alone(browser: Any, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    assert browser.driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert pages[name].as_uri() in asked
    assert [url for url in asked if url != pages[name].as_uri() and not url.startswith("data:")] == []


@pytest.mark.parametrize("width", [360, 1024])
@pytest.mark.parametrize("name", PAGES)
def test_the_figures_are_there_and_nothing_sticks_out(
    browser: Any, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width=width)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return innerWidth") == width
    wide = "return [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert browser.run(wide) == 0 or width == 360
    figures = browser.run(FIGURES)
    assert len(figures) == {"evaluation": 5, "bare-evaluation": 2}.get(name, 2)
    for figure in figures:
        assert figure["shown"] == 1, figure
        assert 250 < figure["width"] <= width
        assert 60 < figure["height"] < 900
        assert figure["loaded"]
        assert figure["marks"] > 10 or figure["name"].endswith("noise.")
        assert len(figure["name"]) > 40
    sizes = [found["size"] for found in browser.run(VISIBLE_TEXT)]
    assert min(sizes) >= 9


@pytest.mark.parametrize(("is_dark", "media"), [(False, "screen"), (True, "screen"), (True, "print")])
@pytest.mark.parametrize("name", PAGES)
def test_all_text_stands_out_from_its_ground(
    browser: Any, pages: dict[str, Path], name: str, is_dark: bool, media: str
) -> None:
    browser.open(pages[name], is_dark=is_dark, media=media)
    found = browser.run(VISIBLE_TEXT)
    assert len(found) > 80
    assert [text for text in found if text["contrast"] < MIN_CONTRAST] == []
    # On paper there is no dark.
    assert {text["dark"] for text in found} == {is_dark and media == "screen"}


@pytest.mark.parametrize("name", ["match", "evaluation"])
def test_a_page_can_be_printed(browser: Any, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], is_dark=True)
    printed = base64.b64decode(browser.driver.print_page())
    assert printed.startswith(b"%PDF-")
    assert len(printed) > 20_000
    assert printed.count(b"/Type /Page\n") in range(2, 12)


def test_what_a_name_says_is_text(browser: Any, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"])
    assert browser.driver.title.startswith("MATCH: <script>document.title='owned'</script>")
    assert browser.run("return document.scripts.length") == 0
    assert browser.run("return document.querySelectorAll('img').length") == 1
    shown = browser.run("return document.querySelector('h1').textContent")
    assert "<img src=x onerror" in shown
    assert r"\x1b[2J\u202egnp.onnx" in shown


def test_the_policy_alone_would_stop_what_a_name_says(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    attack = (
        "<script>document.title = 'owned'</script>"
        '<img id="bad" src="data:," onerror="document.title = \'owned\'">'
        '<p id="styled" style="color: rgb(1, 2, 3)">x</p>'
        '<img src="http://127.0.0.1:9/leak">'
    )
    page.write_text(pages["match"].read_text(encoding="utf-8").replace("<main>", f"<main>{attack}"), encoding="utf-8")
    browser.open(page)
    assert browser.driver.title == "MATCH: int8.onnx"
    assert browser.run("return getComputedStyle(document.getElementById('styled')).color") != "rgb(1, 2, 3)"
    blocked = [entry["message"] for entry in browser.driver.get_log("browser")]
    for what in ("inline script", "inline event handler", "inline style", "127.0.0.1:9/leak"):
        assert any(what in message for message in blocked), (what, blocked)
