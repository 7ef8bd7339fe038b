"""The manifest: everything about a fingerprint but its arrays, and what its seeds and labels were derived from."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Literal

import numpy as np

from onnxfp.bundle import canonical_json
from onnxfp.bundle.records import build, find_broken_claim, is_digest, is_key, is_time
from onnxfp.errors import BundleFormatError, BundleVersionError, ParameterError, translate_codec
from onnxfp.limits import MAX_CANDIDATES, MAX_VALUES_PER_EXAMPLE
from onnxfp.model.io_contract import spatial_axes
from onnxfp.recipe.derivation import DerivationContext
from onnxfp.recipe.recipe import Recipe
from onnxfp.text import quote_text
from onnxfp.types import InputGrid, InputSpec, OutputSpec, Spectrum

SCHEMA = "onnxfp/bundle/2"
"""Schema that is written. Schema 1 is read as before: it has no lineage."""

_SCHEMA_1 = "onnxfp/bundle/1"

MAX_ANCESTORS = 1000
"""Most ancestors that a manifest names."""

LineageClaim = Literal["undeclared", "from scratch", "declared"]

# What deriving seeds and labels again may cost the verifier of a stranger's manifest.
MAX_AXES = 8
MAX_CLASSES = 2**18
MAX_CANDIDATES_PER_EXAMPLE = 100

_IMAGE_AXES, _MIN_SIDE = 2, 8

_NUMBERS = re.compile(r"float(16|32|64)|u?int(8|16|32|64)")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What is known of the owner's model.

    Attributes:
        digest: ``sha256:<hex>`` of the ONNX file.
        n_classes: Number of classes.
        input: The tensor that examples go to.
        output: The tensor that labels are read from.
        spatial_axes: Axes of one example along which neighbours are alike.
    """

    digest: str
    n_classes: int
    input: InputSpec
    output: OutputSpec
    spatial_axes: tuple[int, ...]

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width of an image in pixels; empty for other inputs."""
        return tuple(self.input.shape[axis] for axis in self.spatial_axes) if self.takes_images else ()

    @property
    def takes_images(self) -> bool:
        """Whether examples are images of at least 8 by 8 pixels, rather than features, signals or volumes."""
        sides = [self.input.shape[axis] for axis in self.spatial_axes]
        return len(sides) == _IMAGE_AXES and min(sides) >= _MIN_SIDE


@dataclass(frozen=True, slots=True)
class ReferenceResult:
    """One unassociated model of the owner's pool.

    Attributes:
        digest: ``sha256:<hex>`` of its file.
        n_matches: Number of the kept examples to which it gave the recorded label.
    """

    digest: str
    n_matches: int


@dataclass(frozen=True, slots=True)
class CopyParity:
    """How well the torch copy agreed with onnxruntime.

    Attributes:
        max_abs_difference: Largest difference of a score, in the scores' units.
        n_label_flips: Number of inputs to which the two gave different labels.
        n_inputs: Number of inputs compared: seeded probes and the finished examples.
    """

    max_abs_difference: float
    n_label_flips: int
    n_inputs: int


@dataclass(frozen=True, slots=True)
class AncestorResult:
    """One ancestor of the base, or another model that derives from it.

    Attributes:
        digest: ``sha256:<hex>`` of its file.
        n_matches: Number of the kept examples to which it gave the recorded label; ``None`` where it has other classes
            and was not asked.
    """

    digest: str
    n_matches: int | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """What the owner declares of the base's descent.

    A declaration costs the owner and gains nothing: with an ancestor, a MATCH takes co-descendants of it. So whether it
    is complete is the owner's word, and a report says so.

    Attributes:
        claim: ``undeclared``; ``from scratch`` where the owner says that there is no ancestor; ``declared`` where
            ``ancestors`` names some.
        ancestors: The ancestors, and other descendants of theirs, that the examples are kept from matching.
    """

    claim: LineageClaim = "undeclared"
    ancestors: tuple[AncestorResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything about a fingerprint but its arrays.

    Attributes:
        schema: Version of the bundle format.
        created: Time of generation, RFC 3339 in UTC with seconds. A claim of the owner's, not a proof.
        public_key: Raw Ed25519 public key of the owner, 64 hexadecimal digits.
        base: The owner's model.
        grid: The integer grid on which examples live.
        recipe: How the examples were crafted.
        n_examples: Number n of examples.
        n_candidates: Number m of candidates that were tried for them, at least n, at most 100 n and 20,000.
        references: The owner's pool of unassociated models.
        copy_parity: Agreement of the torch copy with onnxruntime; ``None`` where gradients were estimated.
        versions: Name and version of the software that made the bundle.
        lineage: What the owner declares of the base's descent.
    """

    schema: str
    created: str
    public_key: str
    base: BaseModel
    grid: InputGrid
    recipe: Recipe
    n_examples: int
    n_candidates: int
    references: tuple[ReferenceResult, ...]
    copy_parity: CopyParity | None
    versions: tuple[tuple[str, str], ...]
    lineage: Lineage = field(default_factory=Lineage)

    @property
    def epsilon_share(self) -> float:
        """Largest distance of an example from its seed, as a share of the input's range."""
        return self.recipe.epsilon_levels / (self.grid.n_levels - 1)

    @property
    def spectrum(self) -> Spectrum:
        """Spectrum that the seeds have: without axes along which neighbours are alike, they are white by any name."""
        return self.recipe.spectrum if self.base.spatial_axes else "white"

    def derivation_context(self) -> DerivationContext:
        """Return what seeds and labels are derived from."""
        return DerivationContext(
            public_key=self.public_key,
            base_digest=self.base.digest,
            shape=self.base.input.shape,
            spatial_axes=self.base.spatial_axes,
            n_classes=self.base.n_classes,
            grid=self.grid,
            recipe=self.recipe,
        )

    def to_json(self) -> bytes:
        """Return the canonical JSON text."""
        record = asdict(self)
        if self.schema == _SCHEMA_1:
            del record["lineage"]
        return canonical_json.dump(record)

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Return the manifest that ``text`` holds.

        Raises:
            BundleFormatError: A field is missing, unknown, of the wrong type or out of range; it is named.
            BundleVersionError: The schema is not one that this release reads.
        """
        with translate_codec(BundleFormatError, _HINT):
            value = canonical_json.load(text, "manifest.json")
        if value.get("schema") not in (SCHEMA, _SCHEMA_1):
            raise BundleVersionError(
                f"the bundle has schema {quote_text(str(value.get('schema')))}; this release reads up to {SCHEMA!r}",
                hint="install a newer onnxfp",
            )
        if value["schema"] == _SCHEMA_1 and "lineage" not in value:
            value = {**value, "lineage": {"claim": "undeclared", "ancestors": []}}
        with translate_codec(BundleFormatError, _HINT):
            manifest: Manifest = build(cls, value, "manifest")
        manifest._check()
        if manifest.to_json() != text:
            raise BundleFormatError("manifest.json: a number is written in a second spelling", hint=_HINT)
        return manifest

    def _check(self) -> None:
        shape, n_references = self.base.input.shape, len(self.references)
        layout, output, parity = self.base.input.layout, self.base.output, self.copy_parity
        most = min(MAX_CANDIDATES_PER_EXAMPLE * self.n_examples, MAX_CANDIDATES)
        claims = {
            "created is not a UTC time": is_time(self.created),
            "public_key is not 64 hexadecimal digits": is_key(self.public_key),
            "base.digest is not a SHA-256 digest": is_digest(self.base.digest),
            "base.n_classes is out of range": 2 <= self.base.n_classes <= MAX_CLASSES,
            "base.input.shape is out of range": (
                1 <= len(shape) <= MAX_AXES and min(shape) >= 1 and prod(shape) <= MAX_VALUES_PER_EXAMPLE
            ),
            "base.input.dtype is no type of numbers": _NUMBERS.fullmatch(self.base.input.dtype),
            "base.input.batch is out of range": self.base.input.batch is None or self.base.input.batch >= 1,
            "base.output.n_classes contradicts base.n_classes": output.n_classes in (None, self.base.n_classes),
            "base.input.layout names other axes than base.input.shape has": layout == "OTHER"
            or len(layout) == 1 + len(shape),
            "base.spatial_axes are not those of base.input.layout": self.base.spatial_axes == spatial_axes(layout),
            "grid.channel_axis is not an axis of the input": 0 <= self.grid.channel_axis < max(1, len(shape)),
            "recipe.epsilon_levels exceeds the grid": self.recipe.epsilon_levels < self.grid.n_levels,
            "n_examples is out of range": 1 <= self.n_examples <= self.n_candidates,
            "n_candidates is out of range": self.n_candidates <= most,
            "copy_parity contradicts recipe.gradient": (parity is not None) == (self.recipe.gradient == "copy"),
            "copy_parity holds a negative number": parity is None
            or (parity.max_abs_difference >= 0 and 0 <= parity.n_label_flips <= parity.n_inputs),
            "a reference's digest is malformed": all(is_digest(r.digest) for r in self.references),
            "a reference is named twice": len({r.digest for r in self.references}) == n_references,
            "a reference matches more than all": all(0 <= r.n_matches <= self.n_examples for r in self.references),
            **self._lineage_claims(),
        }
        if complaint := find_broken_claim(claims):
            raise BundleFormatError(f"manifest.json: {complaint}", hint=_HINT)
        try:
            with np.errstate(all="ignore"):
                scale, offset = self.grid.affine(shape)
                ends = np.concatenate([offset.ravel(), (scale + offset).ravel()])
        except ParameterError as error:
            raise BundleFormatError(f"manifest.json: grid: {error}", hint=_HINT) from error
        if not (np.abs(ends) <= np.finfo(np.float32).max).all():
            raise BundleFormatError("manifest.json: grid: the model's input overflows float32", hint=_HINT)

    def _lineage_claims(self) -> dict[str, bool]:
        ancestors = self.lineage.ancestors
        return {
            "lineage.claim contradicts lineage.ancestors": (self.lineage.claim == "declared") == bool(ancestors),
            "lineage is not part of schema 1": self.schema != _SCHEMA_1 or self.lineage == Lineage(),
            "lineage names too many ancestors": len(ancestors) <= MAX_ANCESTORS,
            "an ancestor's digest is malformed": all(is_digest(a.digest) for a in ancestors),
            "an ancestor is named twice": len({a.digest for a in ancestors}) == len(ancestors),
            "the base is its own ancestor": all(a.digest != self.base.digest for a in ancestors),
            "an ancestor matches more than all": all(
                a.n_matches is None or 0 <= a.n_matches <= self.n_examples for a in ancestors
            ),
        }


_HINT = "the bundle was not written by onnxfp, or was edited since"
