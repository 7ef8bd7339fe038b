"""Numbers as a page writes them."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxfp.report.html import formatting
from onnxfp.report.html.formatting import chance, scientific


def test_the_examples_in_the_docstrings_hold() -> None:
    tried = doctest.testmod(formatting)
    assert tried.attempted >= 4
    assert tried.failed == 0


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.05, "0.05"),
        (1e-3, "0.001"),
        (9.96e-7, "10⁻⁶"),
        (1e-6, "10⁻⁶"),
        (2.4e-7, "2.4 × 10⁻⁷"),
        (5e-324, "4.9 × 10⁻³²⁴"),
        (9.97e-5, "10⁻⁴"),
    ],
)
def test_small_numbers_have_a_power_of_ten(number: float, written: str) -> None:
    assert scientific(number) == written


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.0, "less than one in a trillion"),
        (1e-12, "one in a trillion"),
        (1e-9, "one in a billion"),
        (2.5e-8, "one in 40 million"),
        (8.04e-9, "about one in 120 million"),
        (1e-3, "one in a thousand"),
        (0.01, "one in 100"),
        (0.03, "about one in 33"),
        (0.69, "about 69 in a hundred"),
        (0.999, "practically certain"),
    ],
)
def test_odds_can_be_imagined(probability: float, words: str) -> None:
    assert chance(probability) == words


@given(st.floats(1e-12, 0.05))
def test_odds_are_right_within_their_digits(probability: float) -> None:
    text = chance(probability).removeprefix("about ").removeprefix("one in ")
    number, _, scale = text.replace("a ", "1 ").partition(" ")
    factor = {"": 1.0, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}[scale]
    assert float(number) * factor == pytest.approx(1 / probability, rel=0.051)
