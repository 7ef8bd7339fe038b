"""Seeds and labels: fixed bytes, fair draws, and a check that nothing slips past."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from onnxfp.errors import DerivationError, ParameterError, ShapeError
from onnxfp.recipe import derivation
from onnxfp.recipe.derivation import DerivationContext, check_derivation, derive_labels, derive_seeds
from onnxfp.recipe.recipe import Recipe
from onnxfp.types import Bounds, InputGrid

RECIPE = Recipe("c", "white", 8, 10, 0.01, 0.0, 1, 0, "none", "copy", 0)


def context(
    *,
    spectrum: str = "white",
    shape: tuple[int, ...] = (3, 16, 16),
    axes: tuple[int, ...] = (1, 2),
    levels: int = 256,
    n_classes: int = 10,
    key: str = "00",
) -> DerivationContext:
    recipe = replace(RECIPE, spectrum=spectrum)  # type: ignore[arg-type]
    return DerivationContext(key, "sha256:base", shape, axes, n_classes, InputGrid(n_levels=levels), recipe)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "79246e65229070d2"),
        ({"spectrum": "pink"}, "17d7a5995c824923"),
        ({"spectrum": "pink", "shape": (16, 12, 3), "axes": (0, 1)}, "6d7b38859e468270"),
        ({"spectrum": "pink", "shape": (2, 50), "axes": (1,), "levels": 65536}, "462c6f7011e0d9da"),
        ({"shape": (9,), "axes": (), "levels": 65536}, "ad599b74106d5eb4"),
        ({"spectrum": "coarse"}, "bff3476c975c4a39"),
        ({"spectrum": "coarse", "shape": (50, 33, 3), "axes": (0, 1)}, "85e2865e0a214985"),
        ({"spectrum": "coarse", "shape": (2, 51), "axes": (1,), "levels": 65536}, "96146d9049301d90"),
        ({"spectrum": "pink", "shape": (40, 1, 3), "axes": (0, 1)}, "86ef2ae0e77cfa06"),
        ({"spectrum": "pink", "shape": (1, 33), "axes": (0, 1), "levels": 65536}, "173ba50c1b07b64a"),
        ({"spectrum": "pink", "shape": (9, 2, 150), "axes": (0, 1, 2)}, "9e2fc77221017f83"),
    ],
)
def test_derived_bytes_never_change(fields: dict[str, object], expected: str) -> None:
    # A bundle signed today is derived again by every later release, on every platform.
    ctx = context(**fields)  # type: ignore[arg-type]
    seeds, labels = derive_seeds(ctx, range(5)), derive_labels(ctx, range(25))
    width = ctx.grid.dtype.itemsize
    digest = hashlib.sha256(seeds.astype(f"<u{width}").tobytes() + labels.astype("<i8").tobytes()).hexdigest()
    assert digest[:16] == expected


def test_a_float_and_an_integer_bound_derive_the_same() -> None:
    one = replace(context(), grid=InputGrid(Bounds(0, 1), mean=(0,), std=(1,)))
    assert one.digest() == context().digest()


@pytest.mark.parametrize("change", [{"key": "01"}, {"spectrum": "pink"}, {"n_classes": 11}, {"shape": (3, 16, 17)}])
def test_every_part_of_the_context_changes_the_seeds(change: dict[str, object]) -> None:
    a, b = derive_seeds(context(), range(1)), derive_seeds(context(**change), range(1))  # type: ignore[arg-type]
    assert a.shape != b.shape or (a != b).any()


def test_one_candidate_is_derived_alone_as_among_others() -> None:
    ctx = context(spectrum="pink")
    assert (derive_seeds(ctx, [7])[0] == derive_seeds(ctx, range(9))[7]).all()
    assert derive_labels(ctx, [17])[0] == derive_labels(ctx, range(20))[17]


@pytest.mark.parametrize("n_classes", [2, 3, 10, 1000])
def test_labels_do_not_repeat_while_classes_last(n_classes: int) -> None:
    labels = derive_labels(context(n_classes=n_classes), range(3 * n_classes))
    for block in labels.reshape(3, n_classes):
        assert sorted(block) == list(range(n_classes))


def shuffled(start: bytes, n_classes: int) -> list[int]:
    """Fisher-Yates as everybody writes it, one draw after the other."""
    stream = hashlib.shake_256(start).digest(16 * n_classes)
    words = iter(int.from_bytes(stream[at : at + 4], "little") for at in range(0, len(stream), 4))
    classes = list(range(n_classes))
    for last in range(n_classes - 1, 0, -1):
        word = next(word for word in words if word < 2**32 - 2**32 % (last + 1))
        chosen = word % (last + 1)
        classes[last], classes[chosen] = classes[chosen], classes[last]
    return classes


# Of the largest, one word in 65,000 is rejected: some four in every block.
@pytest.mark.parametrize("n_classes", [2, 3, 7, 10, 257, 1000, 65537, 2**18 - 1])
def test_labels_are_those_of_a_shuffle(n_classes: int) -> None:
    ctx, rng = context(n_classes=n_classes), np.random.default_rng(0)
    blocks = [0, 5, 6, 2000]
    expected = {b: shuffled(ctx.digest() + b"labels\0\0" + b.to_bytes(8, "little"), n_classes) for b in blocks}
    # In no order, and some twice.
    indices = rng.choice(blocks, 500) * n_classes + rng.integers(0, n_classes, 500)
    assert derive_labels(ctx, indices).tolist() == [expected[i // n_classes][i % n_classes] for i in indices.tolist()]


def test_rejected_words_are_skipped_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    def mostly_rejected(start: bytes, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        words = np.frombuffer(hashlib.shake_256(start).digest(count), "<u4").copy()
        words[words % 3 > 0] = 2**32 - 1
        return words.view(np.uint8)

    monkeypatch.setattr(derivation, "_bytes", mostly_rejected)
    # Three classes: of two words in three comes nothing while there is a choice among three.
    largest = np.array([2**32 - 2, 2**32 - 1], np.uint32)
    words = mostly_rejected(b"x", 4096).view("<u4").tolist()
    at = next(i for i, word in enumerate(words) if word < 2**32 - 1)
    assert derivation._accepted_words(b"x", largest).tolist() == words[at : at + 2]
    # Longer than the stream that is read at first.
    found = derivation._accepted_words(b"y", np.full(1000, 2**32 - 2, np.uint32))
    words = mostly_rejected(b"y", 4 * 8000).view("<u4").tolist()
    assert found.tolist() == [word for word in words if word < 2**32 - 1][:1000]


def test_labels_are_uniform_at_every_place() -> None:
    # First label of 2,000 blocks of 10: chi-squared with 9 degrees of freedom exceeds 33.7 once in 10,000.
    firsts = derive_labels(context(), range(0, 20_000, 10))
    counts = [Counter(firsts.tolist())[c] for c in range(10)]
    assert scipy.stats.chisquare(counts).statistic < 33.7


def test_white_seeds_are_uniform() -> None:
    # 256 levels, 307,200 values: chi-squared with 255 degrees of freedom exceeds 350 once in 10,000.
    seeds = derive_seeds(context(), range(400))
    counts = np.bincount(seeds.ravel(), minlength=256)
    assert scipy.stats.chisquare(counts).statistic < 350


def test_pink_seeds_have_equal_power_in_every_octave() -> None:
    seeds = derive_seeds(context(spectrum="pink", shape=(1, 64, 64)), range(200)).astype(float)[:, 0]
    spectrum = (np.abs(np.fft.fft2(seeds - seeds.mean(axis=(1, 2), keepdims=True))) ** 2).mean(axis=0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(64) * 64, np.fft.fftfreq(64) * 64))
    octaves = [spectrum[(frequency >= low) & (frequency < 2 * low)].sum() for low in (2, 4, 8, 16)]
    # A white spectrum would give 1 : 4 : 16 : 64.
    assert max(octaves) / min(octaves) < 2.5


@pytest.mark.parametrize(("side", "cell"), [(16, 2), (32, 2), (33, 2), (224, 14)])
def test_coarse_seeds_are_white_noise_of_cells(side: int, cell: int) -> None:
    seeds = derive_seeds(context(spectrum="coarse", shape=(3, side, side)), range(20))
    first = seeds[:, :, ::cell, ::cell]
    assert (np.repeat(np.repeat(first, cell, 2), cell, 3)[:, :, :side, :side] == seeds).all()
    # Values of 20 examples, uniform: chi-squared with 15 degrees of freedom exceeds 44.3 once in 10,000.
    counts = np.bincount(first.ravel() // 16, minlength=16)
    assert scipy.stats.chisquare(counts).statistic < 44.3


def test_coarse_seeds_without_axes_are_white() -> None:
    # As Manifest.spectrum calls them.
    seeds = derive_seeds(context(spectrum="coarse", shape=(64,), axes=()), range(50))
    assert len(np.unique(seeds)) == 256


def test_a_right_derivation_passes() -> None:
    ctx = context()
    indices = np.array([0, 2, 3, 9])
    check_derivation(ctx, derive_seeds(ctx, indices), derive_labels(ctx, indices), indices, 10)


@pytest.mark.parametrize("indices", [[0, 0, 1, 2], [1, 0, 2, 3], [0, 1, 2, 10], [-1, 0, 1, 2]])
def test_indices_must_increase_within_the_candidates(indices: list[int]) -> None:
    ctx, where = context(), np.array(indices)
    safe = np.abs(where)
    with pytest.raises(DerivationError, match="increase strictly"):
        check_derivation(ctx, derive_seeds(ctx, safe), derive_labels(ctx, safe), where, 10)


def test_another_label_is_found() -> None:
    ctx, indices = context(), np.arange(4)
    labels = derive_labels(ctx, indices)
    labels[2] = (labels[2] + 1) % 10
    with pytest.raises(DerivationError, match="label of example 2"):
        check_derivation(ctx, derive_seeds(ctx, indices), labels, indices, 4)


@pytest.mark.parametrize("spectrum", ["white", "coarse", "pink"])
def test_the_ball_is_exact_to_one_level(spectrum: str) -> None:
    ctx, indices = context(spectrum=spectrum), np.arange(4)
    seeds, labels = derive_seeds(ctx, indices), derive_labels(ctx, indices)
    # Of the last seed, the value nearest to the middle: it can move up without leaving the range.
    values = seeds[3].reshape(-1)
    nearest = int(np.argmin(np.abs(values.astype(int) - 128)))
    values[nearest] += 8
    check_derivation(ctx, seeds, labels, indices, 4)
    values[nearest] += 1
    with pytest.raises(DerivationError, match=r"example 3 .* lies 9 levels"):
        check_derivation(ctx, seeds, labels, indices, 4)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    ctx, indices = context(), np.arange(4)
    seeds, labels = derive_seeds(ctx, indices), derive_labels(ctx, indices)
    for levels, recorded, where in (
        (seeds[:0], labels[:0], indices[:0]),
        (seeds, labels[:3], indices),
        (seeds, labels, indices[:3]),
        (seeds[:, :2], labels, indices),
        (seeds.astype(np.uint16), labels, indices),
    ):
        with pytest.raises(ShapeError):
            check_derivation(ctx, levels, recorded, where, 4)


def test_labels_need_two_classes_and_indices_from_zero() -> None:
    with pytest.raises(ParameterError, match="at least 2 classes"):
        derive_labels(context(n_classes=1), [0])
    with pytest.raises(ParameterError, match="start at 0"):
        derive_labels(context(), [-1])
