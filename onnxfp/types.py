"""Array aliases and the small records that every room shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import ParameterError

Labels = NDArray[np.int64]
"""``(n,)`` int64 class indices, in the order of the examples."""

Levels = NDArray[np.uint8] | NDArray[np.uint16]
"""``(n, *shape)`` grid levels, C order: what a bundle stores. See :class:`InputGrid`."""

Ranks = NDArray[np.int64]
"""``(n,)`` int64 ranks of the recorded labels among the scores, from 1 (the largest) to the number of classes."""

ModelInput = NDArray[np.float32]
"""``(n, *shape)`` float32, C order, in the units that the model's input takes."""

Scores = NDArray[np.float32]
"""``(n, n_classes)`` float32 logits or probabilities: larger means more likely."""

Kind = Literal["c", "rc", "ltrc", "eot"]
Spectrum = Literal["white", "coarse", "pink"]
Layout = Literal["NCHW", "NHWC", "NCL", "NLC", "NCDHW", "NDHWC", "NC", "OTHER"]
OutputKind = Literal["scores", "logit", "probability", "labels"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The closed interval of valid input values, in the units of the real input (``[0, 1]``, ``[0, 255]`` ...).

    Raises:
        ParameterError: An end is not finite, or ``lower >= upper``.
    """

    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        # 0 and 0.0 must sign and derive the same.
        object.__setattr__(self, "lower", float(self.lower))
        object.__setattr__(self, "upper", float(self.upper))
        if not (isfinite(self.lower) and isfinite(self.upper) and self.lower < self.upper):
            raise ParameterError(
                f"bounds must be two finite numbers, lower < upper; found {self.lower} and {self.upper}",
                hint="for an image in [0, 1] use --bounds 0 1",
            )


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One tensor that a classifier takes.

    Attributes:
        name: Name of the graph input.
        shape: Shape of one example, without the batch axis, for example ``(3, 32, 32)``.
        dtype: NumPy name of the element type: ``float32``, ``float16``, ``uint8`` ...
        layout: Meaning of the axes; ``OTHER`` when it is none of the usual ones.
        batch: Batch size that the graph demands, or ``None`` when any is accepted.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: Layout
    batch: int | None


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One tensor that a classifier answers with.

    Attributes:
        name: Name of the graph output.
        kind: ``scores`` for ``(batch, n_classes)`` logits or probabilities; ``logit`` or ``probability`` for one number
            that speaks for the second of two classes; ``labels`` for class indices.
        n_classes: Number of classes, or ``None`` where a label output does not tell.
    """

    name: str
    kind: OutputKind
    n_classes: int | None


_USUAL_BOUNDS = frozenset({(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)})


@dataclass(frozen=True, slots=True)
class InputGrid:
    """The integer grid on which examples live, and its way into the model.

    Level ``q`` stands for the value ``lower + q * (upper - lower) / (n_levels - 1)``; the model is fed
    ``(value - mean) / std``. Images have 256 levels, so that an example is exactly what a PNG file holds.

    Attributes:
        bounds: Range of the real input, before any normalisation outside the graph.
        n_levels: 256 (stored as uint8) or 65536 (stored as uint16).
        mean: Subtracted from the value, one number or one a channel.
        std: Divides the difference, one number or one a channel; positive.
        channel_axis: Axis of one example along which ``mean`` and ``std`` run.
    """

    bounds: Bounds = Bounds()
    n_levels: Literal[256, 65536] = 256
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channel_axis: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(v) for v in self.mean))
        object.__setattr__(self, "std", tuple(float(v) for v in self.std))
        if self.n_levels not in (256, 65536):
            raise ParameterError(f"a grid has 256 or 65536 levels; found {self.n_levels}")
        if len(self.mean) != len(self.std) or not self.mean:
            raise ParameterError(f"mean and std must be equally long; found {len(self.mean)} and {len(self.std)}")
        if not all(isfinite(v) for v in self.mean) or not all(isfinite(v) and v > 0 for v in self.std):
            raise ParameterError(f"mean must be finite and std positive; found mean {self.mean}, std {self.std}")

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """Storage type of a level."""
        return np.dtype(np.uint8) if self.n_levels == 256 else np.dtype(np.uint16)

    @property
    def is_usual(self) -> bool:
        """Whether the values that a model is fed span a range that image classifiers usually take.

        Bounds of [0, 1], [0, 255] or [-1, 1]; either as they are, or less a mean within them and divided by between an
        eighth and the whole of their width, all channels alike: means within a quarter of the width, standard
        deviations within a factor of two. Other maps, though valid, can make one level of the grid a step across the
        whole range that a model tells apart, if only in one channel.
        """
        lower, upper = self.bounds.lower, self.bounds.upper
        if (lower, upper) not in _USUAL_BOUNDS:
            return False
        is_plain = all(mean == 0.0 for mean in self.mean) and all(std == 1.0 for std in self.std)
        width = upper - lower
        is_alike = max(self.mean) - min(self.mean) <= width / 4 and max(self.std) <= 2 * min(self.std)
        return is_plain or (
            is_alike
            and all(lower <= mean <= upper for mean in self.mean)
            and all(width / 8 <= std <= width for std in self.std)
        )

    @property
    def takes_bytes(self) -> bool:
        """Whether levels are bytes, fed as they are."""
        is_plain = all(mean == 0.0 for mean in self.mean) and all(std == 1.0 for std in self.std)
        return self.n_levels == 256 and is_plain and (self.bounds.lower, self.bounds.upper) == (0.0, 255.0)

    def affine(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(scale, offset)`` with ``model input = unit * scale + offset``, ``unit = q / (n_levels - 1)``.

        Args:
            shape: Shape of one example.

        Returns:
            Two float64 arrays that broadcast against ``shape``.

        Raises:
            ParameterError: ``mean`` has neither one entry nor one a channel.
        """
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        if len(mean) > 1:
            if not shape or shape[self.channel_axis] != len(mean):
                raise ParameterError(
                    f"mean and std have {len(mean)} entries, but an example of shape {shape} does not have that "
                    f"many channels on axis {self.channel_axis}",
                    hint="give one number, or one a channel",
                )
            per_channel = [1] * len(shape)
            per_channel[self.channel_axis] = len(mean)
            mean, std = mean.reshape(per_channel), std.reshape(per_channel)
        return (self.bounds.upper - self.bounds.lower) / std, (self.bounds.lower - mean) / std

    def to_model_input(self, levels: Levels) -> ModelInput:
        """Return what the model is fed for these levels.

        Args:
            levels: ``(n, *shape)`` grid levels.

        Returns:
            ``(n, *shape)`` float32.
        """
        scale, offset = self.affine(levels.shape[1:])
        inputs = np.empty(levels.shape, np.float32)
        parts: Iterable[tuple[Any, ...]] = [(levels, inputs)]
        if scale.size > 1:
            parts = zip(*(np.moveaxis(a, self.channel_axis + 1, 0) for a in (levels, inputs)), strict=True)
        for (given, found), factor, shift in zip(parts, scale.flat, offset.flat, strict=True):
            # Many values are looked up: as many roundings as levels, and no float64 beside every input. Of few, a table
            # of all levels would be the larger.
            is_looked_up = given.size > self.n_levels
            unit = (np.arange(self.n_levels) if is_looked_up else given) / float(self.n_levels - 1)
            values = (unit * factor + shift).astype(np.float32)
            found[...] = values[given] if is_looked_up else values
        return inputs

    def epsilon_in_levels(self, epsilon: float) -> int:
        """Return the largest whole number of levels within ``epsilon``, a distance in units of the bounds.

        Raises:
            ParameterError: ``epsilon`` is not positive, or smaller than one level.
        """
        step = (self.bounds.upper - self.bounds.lower) / (self.n_levels - 1)
        n_levels = int(np.floor(epsilon / step + 1e-9)) if isfinite(epsilon) and epsilon > 0 else 0
        if n_levels < 1:
            raise ParameterError(
                f"epsilon {epsilon} is smaller than one grid step ({step:.3g})",
                hint="give epsilon in the units of --bounds, for example 0.0627 (16/255) for images in [0, 1]",
            )
        return min(n_levels, self.n_levels - 1)
