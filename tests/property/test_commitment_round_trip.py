"""Openings: equal after a round trip, and different values for whatever differs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onnxfp.errors import TimestampingError
from onnxfp.trust.commitment import MAX_BUNDLES, SCHEMA, SCHEMA_OF_SEVERAL, Commitment

HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
NUMBERS = st.none() | st.integers(1, MAX_BUNDLES)
OPENINGS = st.builds(
    lambda bundle, salt, n: Commitment(SCHEMA if n is None else SCHEMA_OF_SEVERAL, f"sha256:{bundle}", salt, n),
    *(HEX, HEX, NUMBERS),
)


@given(OPENINGS)
def test_an_opening_comes_back_equal(opening: Commitment) -> None:
    assert Commitment.from_json(opening.to_json()) == opening


@given(OPENINGS, OPENINGS)
def test_different_openings_have_different_texts_and_values(one: Commitment, other: Commitment) -> None:
    assert (one == other) == (one.to_json() == other.to_json()) == (one.value == other.value)


@given(OPENINGS, st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_opens_something_else(opening: Commitment, place: int, change: int) -> None:
    text = bytearray(opening.to_json())
    text[place % len(text)] ^= change
    try:
        read = Commitment.from_json(bytes(text))
    except TimestampingError:
        return
    assert read.to_json() == bytes(text)
    assert read.value != opening.value
