"""Commitments: a value to publish today that proves later that a bundle existed, and gives nothing of it away.

The *opening* is a small file beside the bundle, ``{"bundle":"sha256:...","salt":"...","schema":"onnxfp/commitment/1"}``
as canonical JSON; the *value* that is published is the SHA-256 of that file. So anybody can check a commitment without
this package: ``sha256sum`` of the opening is the value, ``sha256sum`` of the bundle stands in the opening.

* Hiding: the salt is 32 bytes of the operating system's randomness. Without it the value is that of no bundle in
  particular, even for somebody who has a copy of the bundle and wants to know whether this is its commitment.
* Binding: one canonical form, with fields of fixed length, so that one opening has one text; opening a value as a
  commitment to another bundle takes a collision of SHA-256.

A commitment is as old as its publication, and nothing in it says when that was.

Whoever commits to many bundles can later show the one that fits a suspect best. So an opening may state how many there
are, and the p-value is multiplied by that number. An owner who states too few leaves other published values behind.

References:
    Hash commitments: Halevi and Micali, CRYPTO 1996.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from onnxfp.bundle import canonical_json
from onnxfp.bundle.records import build, is_digest, is_key
from onnxfp.errors import (
    CommitmentError,
    CommitmentFormatError,
    CommitmentVersionError,
    ParameterError,
    TimestampingError,
    name_file,
    translate_codec,
)
from onnxfp.files import read_bounded, write_file
from onnxfp.text import quote_text

SCHEMA = "onnxfp/commitment/1"
"""An opening that says nothing about other bundles."""

SCHEMA_OF_SEVERAL = "onnxfp/commitment/2"
"""An opening that states how many bundles its owner committed to."""

MAX_BUNDLES = 10**6
"""Largest number of bundles that an opening may state."""

SUFFIX = ".commitment.json"
SALT_BYTES = 32

_MAX_BYTES = 2**12
_VALUE = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)
_HINT = "give the opening that `onnxfp commit` wrote, unchanged to the byte"


@dataclass(frozen=True, slots=True)
class Commitment:
    """The opening of a commitment: secret until the bundle is revealed.

    Attributes:
        schema: Version of the format.
        bundle: ``sha256:<hex>`` of the bundle file.
        salt: 64 hexadecimal digits.
        n_bundles: Number of bundles that the owner committed to for the same purpose, this one included; ``None`` where
            the opening states nothing. The p-value is multiplied by it: each of them could have been the one shown.
    """

    schema: str
    bundle: str
    salt: str = field(repr=False)
    n_bundles: int | None = None

    @property
    def value(self) -> str:
        """What is published: ``sha256:<hex>`` of the opening's text."""
        return f"sha256:{hashlib.sha256(self.to_json()).hexdigest()}"

    def to_json(self) -> bytes:
        """Return the canonical JSON text: the bytes of the opening file."""
        record = asdict(self)
        if self.schema == SCHEMA:
            del record["n_bundles"]
        return canonical_json.dump(record)

    @classmethod
    def from_json(cls, text: bytes) -> Commitment:
        """Return the opening that ``text`` is.

        Raises:
            CommitmentFormatError: It is not an opening in the one canonical form.
            CommitmentVersionError: The schema is not one that this release reads.
        """
        with translate_codec(CommitmentFormatError, _HINT):
            value = canonical_json.load(text, "the opening")
            if value.get("schema") not in (SCHEMA, SCHEMA_OF_SEVERAL):
                raise CommitmentVersionError(
                    f"the opening has schema {quote_text(str(value.get('schema')))}; this release reads {SCHEMA!r} and "
                    f"{SCHEMA_OF_SEVERAL!r}",
                    hint="install a newer onnxfp, or give the opening that `onnxfp commit` wrote",
                )
            if value["schema"] == SCHEMA and "n_bundles" not in value:
                value = {**value, "n_bundles": None}
            opening: Commitment = build(cls, value, "opening")
        if not is_digest(opening.bundle):
            raise CommitmentFormatError("opening.bundle is not a SHA-256 digest", hint=_HINT)
        # A salt and a raw key are spelled alike: 64 lower-case hexadecimal digits.
        if not is_key(opening.salt):
            raise CommitmentFormatError("opening.salt is not 64 hexadecimal digits", hint=_HINT)
        if (opening.n_bundles is None) != (opening.schema == SCHEMA):
            raise CommitmentFormatError("opening.n_bundles contradicts opening.schema", hint=_HINT)
        if opening.n_bundles is not None and not 1 <= opening.n_bundles <= MAX_BUNDLES:
            raise CommitmentFormatError("opening.n_bundles is out of range", hint=_HINT)
        if opening.to_json() != text:
            raise CommitmentFormatError("the opening is not in its one canonical form", hint=_HINT)
        return opening

    def save(self, path: str | Path) -> None:
        """Write the opening for its owner's eyes only, whole or not at all.

        Raises:
            FileError: The file exists already, and may be all that opens a published value; or it cannot be written.
        """
        write_file(Path(path), self.to_json(), mode=0o600, overwrite=False)

    def check(self, bundle: str, published: str | None = None) -> None:
        """Check that this opens a commitment to a bundle.

        Args:
            bundle: ``sha256:<hex>`` of the bundle file.
            published: The value that was published, if it is known.

        Raises:
            CommitmentError: It does not.
        """
        if self.bundle != bundle:
            raise CommitmentError(
                f"the opening commits to the bundle {self.bundle[:23]}..., this one is {bundle[:23]}...",
                hint="give the bundle that was committed to, unchanged to the byte",
            )
        if published is not None and self.value != published:
            raise CommitmentError(
                f"the opening is of the commitment {self.value[:23]}..., {published[:23]}... was published",
                hint="what was published is no commitment to this bundle",
            )


def make_commitment(bundle: str, n_bundles: int | None = None) -> Commitment:
    """Return a new commitment to a bundle, with a fresh salt.

    Args:
        bundle: ``sha256:<hex>`` of the bundle file.
        n_bundles: Number of bundles that the owner commits to, this one included; ``None`` states nothing.

    Raises:
        ParameterError: The number is out of range.
    """
    if n_bundles is not None and not 1 <= n_bundles <= MAX_BUNDLES:
        raise ParameterError(f"an owner commits to between 1 and {MAX_BUNDLES} bundles; found {n_bundles}")
    schema = SCHEMA if n_bundles is None else SCHEMA_OF_SEVERAL
    return Commitment(schema, bundle, secrets.token_bytes(SALT_BYTES).hex(), n_bundles)


def opening_path(bundle: Path) -> Path:
    """Return where the opening lies: ``model.fp.npz`` has ``model.fp.commitment.json`` beside it."""
    return bundle.with_suffix(SUFFIX)


def read_opening(path: str | Path) -> Commitment:
    """Read an opening file.

    Raises:
        FileError: The file cannot be read.
        CommitmentFormatError: It is not an opening in the one canonical form.
        CommitmentVersionError: It was written in a schema that this release does not know.
    """
    path = Path(path)
    hint = "give the opening of the commitment, for example model.fp.commitment.json"
    text = read_bounded(path, _MAX_BYTES, hint=hint, too_large=CommitmentFormatError)
    with name_file(path, TimestampingError):
        return Commitment.from_json(text)


def is_value(text: str) -> bool:
    """Return whether ``text`` is a published value, with or without ``sha256:``, and not the name of a file."""
    return _VALUE.fullmatch(text) is not None


def parse_value(text: str) -> str:
    """Return a published value as records spell it, ``sha256:<hex>``.

    Raises:
        ParameterError: It is not 64 hexadecimal digits.
    """
    found = _VALUE.fullmatch(text)
    if found is None:
        raise ParameterError(
            f"{quote_text(text)} is not the value of a commitment", hint="a value is sha256: and 64 hexadecimal digits"
        )
    return f"sha256:{found[1].lower()}"
