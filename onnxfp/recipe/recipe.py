"""The recipe: every number that says how a fingerprint's examples were crafted."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

from onnxfp.errors import ParameterError
from onnxfp.limits import MAX_DRAWS, MAX_SEED, MAX_STEPS
from onnxfp.types import Kind, Spectrum

Filtered = Literal["none", "perturbation", "gradient"]
Gradient = Literal["copy", "estimate"]

_MAX_CUTOFF = 2**31 - 1
_MAX_STEP_SIZE = 1e12


@dataclass(frozen=True, slots=True)
class Recipe:
    """How examples are crafted; part of what seeds and labels are derived from.

    Attributes:
        kind: ``c`` (targeted projected gradient descent), ``rc`` (the same under weight noise), ``ltrc`` (the same
            with low frequencies removed from the update) or ``eot`` (under weight noise and input transformations).
        spectrum: Spectrum of the random seeds: ``white``, ``coarse`` (white, of cells larger than a pixel), or ``pink``
            (power 1/f, as natural images have).
        epsilon_levels: Largest distance of an example from its seed, in grid levels, at least 1.
        n_steps: Gradient steps, at most; an example that has settled before takes no more. In [1, MAX_STEPS].
        step_size: Length of one sign step, in units of the bounds, in (0, 1e12].
        noise: Half-width delta of the uniform weight noise, relative to each tensor's root mean square; 0 for ``c``.
        n_draws: Draws q of weight noise (and of an input transformation) whose gradients are averaged in each step, in
            [1, MAX_DRAWS]; where gradients are estimated, pairs of queries.
        cutoff: Side k of the square of lowest DCT coefficients that is zeroed; 0 filters nothing.
        filtered: What the high-pass filter is applied to.
        gradient: Where gradients come from: ``copy`` (the torch copy) or ``estimate`` (queries to the model).
        seed: Chosen by the owner, in [0, MAX_SEED]; another seed gives other examples for the same model and key.

    Raises:
        ParameterError: A field lies outside its range, or contradicts the kind.
    """

    kind: Kind
    spectrum: Spectrum
    epsilon_levels: int
    n_steps: int
    step_size: float
    noise: float
    n_draws: int
    cutoff: int
    filtered: Filtered
    gradient: Gradient
    seed: int

    def __post_init__(self) -> None:
        # 1 and 1.0 must sign and derive the same.
        object.__setattr__(self, "step_size", float(self.step_size))
        object.__setattr__(self, "noise", float(self.noise))
        _check_choice("kind", self.kind, get_args(Kind))
        _check_choice("spectrum", self.spectrum, get_args(Spectrum))
        _check_choice("filtered", self.filtered, get_args(Filtered))
        _check_choice("gradient", self.gradient, get_args(Gradient))
        if self.epsilon_levels < 1:
            # How many are too many is for the grid to say.
            raise ParameterError(f"epsilon_levels must be at least 1; found {self.epsilon_levels}")
        for name, value, least, most in (
            ("steps", self.n_steps, 1, MAX_STEPS),
            ("draws", self.n_draws, 1, MAX_DRAWS),
            ("cutoff", self.cutoff, 0, _MAX_CUTOFF),
            ("seed", self.seed, 0, MAX_SEED),
        ):
            if not least <= value <= most:
                raise ParameterError(f"{name} must lie in [{least}, {most}]; found {value}")
        if not 0 < self.step_size <= _MAX_STEP_SIZE:
            raise ParameterError(f"step size must lie in (0, {_MAX_STEP_SIZE:g}]; found {self.step_size}")
        if not (isfinite(self.noise) and 0 <= self.noise < 1):
            raise ParameterError(f"noise must lie in [0, 1); found {self.noise}")
        if self.kind == "c" and (self.noise or self.cutoff):
            raise ParameterError(
                f"kind c takes neither noise nor cutoff; found noise {self.noise}, cutoff {self.cutoff}",
                hint="use --kind rc for weight noise, --kind ltrc for the high-pass filter as well",
            )
        if self.gradient == "estimate" and self.kind != "c":
            raise ParameterError(
                f"kind {self.kind} perturbs weights, which cannot be reached by queries", hint="use --kind c"
            )
        if self.kind == "rc" and self.cutoff:
            raise ParameterError(f"kind rc takes no cutoff; found {self.cutoff}", hint="use --kind ltrc")
        if (self.cutoff == 0) != (self.filtered == "none"):
            raise ParameterError(f"cutoff {self.cutoff} contradicts filtered={self.filtered!r}")


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParameterError(f"{name} must be one of {', '.join(allowed)}; found {value!r}")
