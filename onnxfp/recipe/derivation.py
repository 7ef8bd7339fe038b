"""Seeds and labels that nobody chooses: derived from the key, the base model and the recipe.

The known attack on ownership schemes is the false claim (Liu et al., arXiv:2304.06607): an accuser picks inputs
and labels that independent models happen to agree on. Here both are a function of a public context::

    context   = SHA-256(canonical JSON of domain, public key, base digest, input grid, recipe)
    stream(i) = SHAKE-256(context || purpose || i)

and a verifier derives them again. Only hashing and integer arithmetic are used, so every platform derives the
same bytes; a floating-point FFT would not. The 1/f spectrum is a sum of octaves of integer lattice noise, each
octave of equal variance, upsampled by integer bilinear interpolation; coarse noise repeats white noise over cells, a
sixteenth of the shortest spatial axis wide and at least two.

References:
    Seeds from random noise: Wang et al., arXiv:2105.07078. Deriving them from a hash is this project's own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isqrt, prod

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import DerivationError, ParameterError, ShapeError
from onnxfp.recipe.recipe import Recipe
from onnxfp.types import InputGrid, Labels, Levels

DOMAIN = "onnxfp/derivation/1"

# Root mean square of the lattice values 2 b - 255 (b a byte) after linear interpolation along d axes.
# Rounded once and for all: these integers are part of the derivation and never change within DOMAIN.
_OCTAVE_RMS = (148, 121, 99, 80)
# Side of a cell of coarse noise; part of the derivation as well.
_CELLS_ACROSS, _SMALLEST_CELL = 16, 2
# Classes that are shuffled in one go: blocks of few classes share it.
_SHUFFLED_AT_ONCE = 2**18


@dataclass(frozen=True, slots=True)
class DerivationContext:
    """Everything that seeds and labels depend on.

    Attributes:
        public_key: Raw Ed25519 public key, 64 hexadecimal digits.
        base_digest: ``sha256:<hex>`` of the owner's ONNX file (with its external data).
        shape: Shape of one example.
        spatial_axes: Axes of one example along which neighbours are alike (height, width, time); empty for features.
        n_classes: Number of classes K, at least 2.
        grid: The integer grid of the inputs.
        recipe: How examples are crafted.
    """

    public_key: str
    base_digest: str
    shape: tuple[int, ...]
    spatial_axes: tuple[int, ...]
    n_classes: int
    grid: InputGrid
    recipe: Recipe

    def digest(self) -> bytes:
        """Return the 32 bytes that every stream starts from."""
        text = json.dumps({"domain": DOMAIN, **asdict(self)}, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Derivation:
    """What a derivation check compared, and how near the limits it came.

    Attributes:
        n_examples: Number of labels and of seeds that were derived again.
        farthest: Largest distance of a level of an example from its seed, in levels.
    """

    n_examples: int
    farthest: int


def derive_labels(context: DerivationContext, indices: Sequence[int] | NDArray[np.int64]) -> Labels:
    """Return the label that each candidate must reach.

    Labels come in shuffled blocks of all K classes, so that they do not repeat while classes last: a suspect that
    always answers the same then matches one example of every K.

    Args:
        context: What labels are derived from.
        indices: ``(n,)`` candidate indices, each at least 0.

    Returns:
        ``(n,)`` int64 class indices in ``[0, n_classes)``.

    Raises:
        ParameterError: Fewer than two classes, or a negative index.
    """
    n_classes = context.n_classes
    if n_classes < 2:
        raise ParameterError(f"a classifier has at least 2 classes; found {n_classes}")
    digest, wanted = context.digest(), np.asarray(indices, np.int64)
    if (wanted < 0).any():
        raise ParameterError(f"candidate indices start at 0; found {wanted.min()}")
    numbers, offsets = np.divmod(wanted, n_classes)
    blocks, rows = np.unique(numbers, return_inverse=True)
    order = np.argsort(rows)
    labels = np.empty(len(wanted), np.int64)
    n_blocks = max(1, _SHUFFLED_AT_ONCE // n_classes)
    for first in range(0, len(blocks), n_blocks):
        starts = [_stream_start(digest, b"labels", block) for block in blocks[first : first + n_blocks].tolist()]
        part = order[slice(*np.searchsorted(rows[order], (first, first + n_blocks)))]
        labels[part] = _shuffled_classes(starts, n_classes, rows[part] - first, offsets[part])
    return labels


def derive_seeds(context: DerivationContext, indices: Sequence[int] | NDArray[np.int64]) -> Levels:
    """Return the random seed ``x0`` of each candidate.

    Args:
        context: What seeds are derived from.
        indices: ``(n,)`` candidate indices, each at least 0.

    Returns:
        ``(n, *shape)`` grid levels, uint8 or uint16.
    """
    digest, shape, grid = context.digest(), context.shape, context.grid
    axes, spectrum = context.spatial_axes, context.recipe.spectrum if context.spatial_axes else "white"
    seeds = np.empty((len(indices), *shape), grid.dtype)
    for position, index in enumerate(int(i) for i in indices):
        start = _stream_start(digest, b"seed", index)
        if spectrum == "pink":
            seeds[position] = _pink_noise(start, shape, axes, grid)
        elif spectrum == "coarse":
            seeds[position] = _coarse_noise(start, shape, axes, grid)
        else:
            seeds[position] = _white_noise(start, shape, grid)
    return seeds


def check_derivation(
    context: DerivationContext, levels: Levels, labels: Labels, indices: NDArray[np.int64], n_candidates: int
) -> Derivation:
    """Derive seeds and labels again and compare.

    Args:
        context: What the bundle claims they were derived from.
        levels: ``(n, *shape)`` grid levels of the examples.
        labels: ``(n,)`` recorded labels.
        indices: ``(n,)`` candidate indices of the kept examples.
        n_candidates: Number of candidates m that were tried; the p-value is computed against all of them.

    Returns:
        What was compared.

    Raises:
        ShapeError: The arrays differ in length, or an example has another shape or type than the context's.
        DerivationError: Indices are not strictly increasing within ``[0, m)``, a label is not the derived one,
            or an example lies outside the epsilon ball around its seed.
    """
    n_examples = len(levels)
    if not n_examples or len(labels) != n_examples or len(indices) != n_examples:
        raise ShapeError(
            f"{n_examples} examples, {len(labels)} labels and {len(indices)} indices do not belong together"
        )
    if levels.shape[1:] != context.shape or levels.dtype != context.grid.dtype:
        raise ShapeError(
            f"examples are {levels.dtype} {levels.shape[1:]}, the context says {context.grid.dtype} {context.shape}"
        )
    if indices[0] < 0 or indices[-1] >= n_candidates or bool((np.diff(indices) <= 0).any()):
        raise DerivationError(
            f"candidate indices must increase strictly within [0, {n_candidates})",
            hint="an example was repeated, reordered, or taken from outside the recorded candidates",
        )
    wrong = np.flatnonzero(derive_labels(context, indices) != labels)
    if len(wrong):
        raise DerivationError(
            f"the label of example {wrong[0]} (candidate {indices[wrong[0]]}) is not the derived one; "
            f"{len(wrong)} of {n_examples} differ",
            hint="the labels were chosen by somebody: this bundle is no evidence",
        )
    chunk = max(1, 2**22 // max(1, prod(context.shape)))
    most = 0
    for first in range(0, n_examples, chunk):
        part = slice(first, first + chunk)
        found, seeds = levels[part], derive_seeds(context, indices[part])
        # Unsigned, without a wider copy: the larger one minus the smaller one.
        distance = np.maximum(found, seeds) - np.minimum(found, seeds)
        farthest = distance.reshape(len(distance), -1).max(axis=1)
        most = max(most, int(farthest.max()))
        outside = np.flatnonzero(farthest > context.recipe.epsilon_levels)
        if len(outside):
            example = first + int(outside[0])
            raise DerivationError(
                f"example {example} (candidate {indices[example]}) lies {farthest[outside[0]]} levels from its derived "
                f"seed; {context.recipe.epsilon_levels} are allowed",
                hint="the example was not crafted from the seed that the key derives: this bundle is no evidence",
            )
    return Derivation(n_examples, most)


def _stream_start(digest: bytes, purpose: bytes, index: int) -> bytes:
    # Fixed lengths all round, so that no two (purpose, index) share a stream.
    return digest + purpose.ljust(8, b"\0") + index.to_bytes(8, "little")


def _bytes(start: bytes, count: int) -> NDArray[np.uint8]:
    return np.frombuffer(hashlib.shake_256(start).digest(count), np.uint8)


def _white_noise(start: bytes, shape: tuple[int, ...], grid: InputGrid) -> Levels:
    count = prod(shape)
    if grid.n_levels == 256:
        return _bytes(start, count).reshape(shape)
    return _bytes(start, 2 * count).view("<u2").astype(np.uint16).reshape(shape)


def _coarse_noise(start: bytes, shape: tuple[int, ...], axes: tuple[int, ...], grid: InputGrid) -> Levels:
    cell = max(_SMALLEST_CELL, min(shape[axis] for axis in axes) // _CELLS_ACROSS)
    lattice = tuple(-(-length // cell) if axis in axes else length for axis, length in enumerate(shape))
    levels = _white_noise(start, lattice, grid)
    cells = [np.arange(length) // cell if axis in axes else np.arange(length) for axis, length in enumerate(shape)]
    return np.asarray(levels[np.ix_(*cells)].astype(grid.dtype))


def _pink_noise(start: bytes, shape: tuple[int, ...], axes: tuple[int, ...], grid: InputGrid) -> Levels:
    periods = [2**o for o in range(max(1, (max(shape[a] for a in axes) - 1).bit_length()))]
    lattices = [tuple((n - 1) // p + 2 if a in axes else n for a, n in enumerate(shape)) for p in periods]
    # 32 bits hold the largest cell times twice its noise, unless there are three long axes.
    dtype = np.int32 if 2**10 * periods[-1] ** len(axes) < 2**31 else np.int64
    stream = _bytes(start, sum(prod(lattice) for lattice in lattices))
    # The order changes no value. Axes with most points for their length come first: of a length of 1 there are two.
    order = sorted(axes, key=lambda axis: shape[axis])
    total = np.zeros(shape, dtype)
    first = 0
    for exponent, (period, lattice) in enumerate(zip(periods, lattices, strict=True)):
        octave: NDArray[np.signedinteger] = stream[first : first + prod(lattice)].reshape(lattice).astype(dtype)
        first += prod(lattice)
        octave *= 2
        octave -= 255
        for axis in order:
            octave = _interpolate(octave, axis, period, shape[axis])
        # A shift to the right is the floor of a division by a power of two, and several times as fast.
        octave >>= exponent * len(axes)
        total += octave
    # Unit variance, then a standard deviation of 7/32 of the range: about that of natural photographs.
    rms = isqrt(_OCTAVE_RMS[0] ** 2 + (len(periods) - 1) * _OCTAVE_RMS[len(axes)] ** 2)
    levels = grid.n_levels // 2 + total * (grid.n_levels * 7 // 32) // rms
    return np.asarray(np.clip(levels, 0, grid.n_levels - 1).astype(grid.dtype))


def _interpolate(lattice: NDArray[np.signedinteger], axis: int, period: int, length: int) -> NDArray[np.signedinteger]:
    """Return ``lattice`` linearly interpolated along one axis to ``length``, times ``period`` (still integers)."""
    before, n_points, after = lattice.shape[:axis], lattice.shape[axis], lattice.shape[axis + 1 :]
    points = lattice.reshape(prod(before), n_points, 1, prod(after))
    below, above = points[:, :-1], points[:, 1:]
    # Of a cell that is longer than the axis, no more than the axis: a short axis would cost as much as a long one.
    width = min(period, length)
    weight = np.arange(width, dtype=lattice.dtype).reshape(width, 1)
    cells = (above - below) * weight
    cells += below * lattice.dtype.type(period)
    return cells.reshape(prod(before), (n_points - 1) * width, prod(after))[:, :length].reshape(*before, length, *after)


def _shuffled_classes(
    starts: Sequence[bytes], n_classes: int, rows: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return some classes of some shuffles: Fisher-Yates with rejection sampling, every permutation equally likely.

    A shuffle exchanges the class at each place, the last one first, with that at a chosen place no farther on. What a
    place ends with was where its own exchange took it from, and came there by the exchange before that chose the same
    place, and so on: only the places that are asked for are followed back.

    Args:
        starts: The streams of the shuffles.
        n_classes: Number of classes of each.
        rows: ``(n,)`` int64. Of which shuffles classes are asked for.
        offsets: ``(n,)`` int64. At which places of them, in ``[0, n_classes)``.

    Returns:
        ``(n,)`` int64 classes.
    """
    chosen = np.zeros((len(starts), n_classes), np.uint64)
    chosen[:, :0:-1] = _draw_places(starts, n_classes)
    # Places of all shuffles in one row; an exchange is numbered by its own place.
    chosen += np.arange(len(starts), dtype=np.uint64)[:, np.newaxis] * n_classes
    exchanges = np.arange(chosen.size, dtype=np.uint64)
    keys = np.append(np.sort(chosen.ravel() << 32 | exchanges), np.uint64(2**64 - 1))
    exchange = (rows * n_classes + offsets).astype(np.uint64)
    place = chosen.ravel()[exchange]
    origins, followed = place.copy(), np.arange(len(place))
    while len(followed):
        earlier = keys[np.searchsorted(keys, place << 32 | exchange, side="right")]
        goes_on = earlier >> 32 == place
        followed = followed[goes_on]
        # It brought what its own place held until then.
        place = exchange = earlier[goes_on] & (2**32 - 1)
        origins[followed] = place
    return (origins % n_classes).astype(np.int64)


def _draw_places(starts: Sequence[bytes], n_classes: int) -> NDArray[np.uint32]:
    """Return ``(len(starts), n_classes - 1)`` uint32: a place among the first K, then K - 1 ... 2, of each shuffle."""
    sizes = np.arange(n_classes, 1, -1, dtype=np.uint64)
    largest, sizes = (2**32 - 1 - 2**32 % sizes).astype(np.uint32), sizes.astype(np.uint32)
    words = np.stack([_bytes(start, 4 * (n_classes - 1)).view("<u4") for start in starts])
    # One draw in 2**32 / n_classes is rejected at most, and the next word of the stream taken in its place.
    for row in np.flatnonzero((words > largest).any(axis=1)).tolist():
        words[row] = _accepted_words(starts[row], largest)
    return np.asarray(words % sizes, np.uint32)


def _accepted_words(start: bytes, largest: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the words of a stream without those that are larger than the one they would become may be."""
    n_words, position, done = len(largest) + 16, 0, 0
    words = _bytes(start, 4 * n_words).view("<u4")
    accepted = np.empty(len(largest), np.uint32)
    while done < len(accepted):
        if position == n_words:
            n_words *= 2
            words = _bytes(start, 4 * n_words).view("<u4")
        drawn = words[position : position + len(accepted) - done]
        rejected = np.append(drawn > largest[done : done + len(drawn)], True)
        n_good = int(rejected.argmax())
        accepted[done : done + n_good] = drawn[:n_good]
        done += n_good
        position += min(n_good + 1, len(drawn))
    return accepted
