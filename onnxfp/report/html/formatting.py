"""Numbers as a page writes them, for a reader who knows no statistics."""

from __future__ import annotations

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SCALES = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand"))
# Beyond, no pool of measured models can speak, and more zeros would only impress.
_MIN_CHANCE = 1e-12


def percent(rate: float) -> str:
    """Return a rate in percent, with one decimal.

    >>> percent(0.6667)
    '66.7%'
    """
    return f"{rate:.1%}"


def scientific(number: float) -> str:
    """Return a number with two significant digits, small ones with a power of ten.

    >>> scientific(4.42e-25), scientific(1e-6), scientific(0.25), scientific(1.0)
    ('4.4 × 10⁻²⁵', '10⁻⁶', '0.25', '1')
    """
    if number == 0 or number >= 1e-3:
        return f"{number:.2g}"
    factor, _, exponent = f"{number:.1e}".partition("e")
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return power if factor == "1.0" else f"{factor} × {power}"


def chance(probability: float) -> str:
    """Return a probability as odds that can be imagined.

    >>> chance(1e-6), chance(4.4e-25), chance(7.7e-9)
    ('one in a million', 'less than one in a trillion', 'about one in 130 million')
    >>> chance(0.0041), chance(0.3), chance(1.0)
    ('about one in 240', 'about 30 in a hundred', 'practically certain')
    """
    if probability < _MIN_CHANCE:
        return "less than one in a trillion"
    if probability > 0.995:
        return "practically certain"
    if probability > 0.05:
        return f"about {probability:.0%} in a hundred".replace("%", "")
    odds = float(f"{1 / probability:.2g}")
    about = "" if f"{1 / probability:.6g}" == f"{odds:.6g}" else "about "
    for scale, word in _SCALES:
        if odds >= scale:
            count = odds / scale
            return f"{about}one in a {word}" if count == 1 else f"{about}one in {count:.3g} {word}"
    return f"{about}one in {odds:.0f}"
