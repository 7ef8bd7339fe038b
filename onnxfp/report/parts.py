"""The parts of a verification's record: signer, bundle, suspect, and what was looked at besides matches."""

from __future__ import annotations

from dataclasses import dataclass

from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.records import MAX_TEXT
from onnxfp.text import escape_text
from onnxfp.types import InputGrid, Layout


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed the bundle.

    Attributes:
        public_key: Raw Ed25519 public key, 64 hexadecimal digits.
        is_pinned: Whether the verifier demanded this very key.
        name: The name that the verifier gave this key in a trust store of their own, or ``None``. It is the verifier's
            word, as evidence no more than ``is_pinned``.
    """

    public_key: str
    is_pinned: bool
    name: str | None


@dataclass(frozen=True, slots=True)
class FixedInput:
    """Values that the verifier chose for another input of the suspect.

    Attributes:
        name: The input.
        n_values: Number of different values.
        digest: ``sha256:<hex>`` of the values as little-endian float64, in C order.
    """

    name: str
    n_values: int
    digest: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", escape_text(self.name, MAX_TEXT))


@dataclass(frozen=True, slots=True)
class Question:
    """How a suspect was fed.

    Attributes:
        shape: Shape of one example in the suspect's own order of axes.
        layout: Meaning of the axes, for example ``NCHW``.
        dtype: NumPy name of its element type.
        grid: Bounds, mean and standard deviation by which levels became its input.
        fixed: Values of its other inputs.
    """

    shape: tuple[int, ...]
    layout: Layout
    dtype: str
    grid: InputGrid
    fixed: tuple[FixedInput, ...]

    @property
    def is_chosen(self) -> bool:
        """Whether several values were chosen for another input, which could make a model match."""
        return any(one.n_values > 1 for one in self.fixed)


@dataclass(frozen=True, slots=True)
class Probes:
    """What a suspect's answers show of it, besides matches. Asked only where the matches are remarkable.

    Attributes:
        is_linear: Whether it is nearly linear; ``None`` where its answers do not show it.
        window: Share of the input's range that it tells apart, in [0, 1]; ``None`` where its answers do not show it.
        fed_epsilon: Largest distance of an example from its seed as a share of the range that it was fed, in [0, 1].
    """

    is_linear: bool | None
    window: float | None
    fed_epsilon: float | None


MIN_BASE_RATE = 0.98
"""Share of the recorded labels that the base must give on the verifier's machine: scores that are nearly equal round
apart there."""


@dataclass(frozen=True, slots=True)
class BaseCheck:
    """The base model, asked by the verifier.

    Attributes:
        digest: ``sha256:<hex>`` of its file, the digest that the bundle names.
        n_matches: Number of examples to which it gave the recorded label.
    """

    digest: str
    n_matches: int


@dataclass(frozen=True, slots=True)
class SuspectRecord:
    """The model under test.

    Attributes:
        digest: ``sha256:<hex>`` of its file, or of its recorded responses.
        providers: onnxruntime's execution providers as actually used, in order; empty where the verifier asked it
            without onnxfp, and recorded its responses.
        isolation: What it was kept from while it ran: ``process``, ``time``, ``memory``, ``network``; empty where it
            ran in the verifier's own process.
        input: Name of the input that was fed; empty for recorded responses.
        output: Name of the output that was read; empty for them too. Names that cannot be printed are escaped, and long
            ones cut: they are the suspect's, and no suspect may choose one with which its report could not be read
            again.
        question: How it was fed; ``None`` for recorded responses, and in reports of schema 1.
    """

    digest: str
    providers: tuple[str, ...]
    isolation: tuple[str, ...]
    input: str
    output: str
    question: Question | None = None

    @classmethod
    def of_responses(cls, digest: str) -> SuspectRecord:
        """Return the record of a suspect that the verifier asked.

        Args:
            digest: ``sha256:<hex>`` of what was recorded.
        """
        return cls(digest, (), (), "", "")

    @property
    def is_recorded(self) -> bool:
        """Whether its responses were recorded by the verifier, and not observed by onnxfp."""
        return not self.providers

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            object.__setattr__(self, name, escape_text(getattr(self, name), MAX_TEXT))


@dataclass(frozen=True, slots=True)
class BundleRecord:
    """The fingerprint.

    Attributes:
        digest: ``sha256:<hex>`` of the bundle file.
        base_digest: ``sha256:<hex>`` of the base model's file.
        kind: Kind of its examples.
        n_classes: Number of classes.
        epsilon_levels: Largest distance of an example from its seed, in grid levels.
        n_levels: Number of levels of the grid, 256 or 65536.
        created: Time of generation that the signer claims.
        spectrum: Spectrum of its seeds; empty in reports of schema 1.
        shape: Shape of one example; empty in reports of schema 1.
        layout: Meaning of the axes, for example ``NCHW``; ``OTHER`` in reports of schema 1.
        grid: Bounds, mean and standard deviation of the base's input; ``None`` in reports of schema 1.
    """

    digest: str
    base_digest: str
    kind: str
    n_classes: int
    epsilon_levels: int
    n_levels: int
    created: str
    spectrum: str = ""
    shape: tuple[int, ...] = ()
    layout: Layout = "OTHER"
    grid: InputGrid | None = None

    @classmethod
    def of(cls, fingerprint: Fingerprint) -> BundleRecord:
        """Return what a record says of a fingerprint."""
        manifest = fingerprint.manifest
        return cls(
            fingerprint.digest,
            manifest.base.digest,
            manifest.recipe.kind,
            manifest.base.n_classes,
            manifest.recipe.epsilon_levels,
            manifest.grid.n_levels,
            manifest.created,
            manifest.spectrum,
            manifest.base.input.shape,
            manifest.base.input.layout,
            manifest.grid,
        )
