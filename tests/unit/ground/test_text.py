"""Strangers' text, fit to be shown."""

from __future__ import annotations

import ast
import doctest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnxfp
from onnxfp import text
from onnxfp.text import escape_text, quote_text

BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_examples_of_the_documentation() -> None:
    found = doctest.testmod(text)
    assert found.attempted
    assert not found.failed


@given(st.text(st.characters(codec=None, categories=None)), st.none() | st.integers(0, 60))
def test_whatever_comes_in_printable_text_comes_out(given_text: str, max_length: int | None) -> None:
    shown = escape_text(given_text, max_length)
    assert shown.isprintable()
    shown.encode()
    assert escape_text(shown, max_length) == shown
    assert max_length is None or len(shown) <= max_length
    if given_text.isprintable():
        assert shown == given_text[:max_length]


@pytest.mark.parametrize("mark", BIDIRECTIONAL)
def test_marks_of_direction_are_escaped(mark: str) -> None:
    assert escape_text(f"a{mark}b") == f"a\\u{ord(mark):04x}b"


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("\x00", "\\x00"),
        ("a\r\nb", "a\\r\\nb"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("'\"\\", "'\"\\"),
        ("Jos\u00e9 \u05d0", "Jos\u00e9 \u05d0"),
    ],
)
def test_what_cannot_be_seen_is_escaped_and_other_text_stays(given_text: str, shown: str) -> None:
    assert escape_text(given_text) == shown


def test_lines_stay_where_they_are_wanted() -> None:
    assert escape_text("a\nb\r\x1b", keep_lines=True) == "a\nb\\r\\x1b"


def test_a_long_text_is_cut_before_it_is_escaped_and_after() -> None:
    assert escape_text("\x1b" * 10**7, 10) == "\\x1b\\x1b\\x"


@given(st.text(st.characters(codec=None, categories=None)), st.integers(0, 60))
def test_a_quotation_is_ascii_and_means_one_text(given_text: str, max_length: int) -> None:
    shown = quote_text(given_text, max_length)
    assert shown.isascii()
    assert shown.isprintable()
    assert ast.literal_eval(shown.removesuffix("...")) == given_text[:max_length]
    assert shown.endswith("...") == (len(given_text) > max_length)


def test_nobody_else_escapes_text() -> None:
    ground = Path(text.__file__)
    for path in Path(onnxfp.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Name) and node.id == "ascii"
            is_conversion = isinstance(node, ast.FormattedValue) and node.conversion == ord("a")
            assert path == ground or not (is_call or is_conversion), f"{path}:{node.lineno}"  # type: ignore[attr-defined]
