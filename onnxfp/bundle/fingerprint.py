"""The fingerprint: examples, recorded labels, and where they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onnxfp.bundle import npy
from onnxfp.bundle.manifest import Manifest
from onnxfp.bundle.signing import member_digest, sign_members
from onnxfp.bundle.writer import EXAMPLES, INDICES, LABELS, MANIFEST, SIGNATURE, pack, pack_parts
from onnxfp.errors import BundleError, ParameterError, ShapeError
from onnxfp.files import write_file
from onnxfp.types import Labels, Levels, ModelInput

if TYPE_CHECKING:
    from securesystemslib.signer import Signer


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """A signed set of characteristic examples of one base model; compare two by their ``digest``.

    It cannot change: the arrays become views of the members' bytes, which Python keeps from being written to. So
    bytes and digest are computed once.

    Attributes:
        levels: ``(n, *shape)`` grid levels of the examples, uint8 or uint16.
        labels: ``(n,)`` int64 labels that the base gives them.
        indices: ``(n,)`` int64 candidate indices, strictly increasing.
        manifest: Everything else, and what seeds and labels are derived from.
        envelope: The DSSE envelope over the digests of all members, canonical JSON.
    """

    levels: Levels
    labels: Labels
    indices: NDArray[np.int64]
    manifest: Manifest
    envelope: bytes = field(repr=False)
    _members: Mapping[str, bytes] = field(init=False, repr=False)
    _file: tuple[str, int] | None = field(init=False, repr=False, default=None)
    _is_read: bool = field(init=False, repr=False, default=False)

    def __post_init__(self) -> None:
        members = _signed_members(self.levels, self.labels, self.indices, self.manifest)
        for name, member in (("levels", EXAMPLES), ("labels", LABELS), ("indices", INDICES)):
            array = getattr(self, name)
            object.__setattr__(self, name, npy.load(members[member], array.dtype, array.shape, member))
        object.__setattr__(self, "_members", {MANIFEST: members[MANIFEST], SIGNATURE: self.envelope, **members})

    @property
    def n_examples(self) -> int:
        """Number of examples n."""
        return len(self.labels)

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the bundle file; the same content always makes the same file."""
        return self._describe_file()[0]

    @property
    def is_read(self) -> bool:
        """Whether the reader of bundles made it, and so found form, signature and digests good."""
        return self._is_read

    @property
    def n_bytes(self) -> int:
        """Length of the bundle file."""
        return self._describe_file()[1]

    def model_input(self) -> ModelInput:
        """Return what the base is fed: ``(n, *shape)`` float32."""
        return self.manifest.grid.to_model_input(self.levels)

    def members(self) -> dict[str, bytes]:
        """Return the bytes of every member of the bundle file, by name."""
        return dict(self._members)

    def save(self, path: str | Path, *, overwrite: bool = True) -> None:
        """Write the bundle file, whole or not at all.

        Args:
            path: Where the bundle shall be.
            overwrite: Whether an existing file may be replaced.

        Raises:
            ParameterError: The examples are larger than a bundle can be.
            FileError: The folder is missing or not writable, the disk is full, or what is there must not be replaced.
        """
        write_file(Path(path), pack(self._members), overwrite=overwrite)

    def _describe_file(self) -> tuple[str, int]:
        """Return digest and length of the bundle file."""
        if self._file is None:
            hashed, n_bytes = hashlib.sha256(), 0
            for part in pack_parts(self._members):
                hashed.update(part)
                n_bytes += len(part)
            object.__setattr__(self, "_file", (f"sha256:{hashed.hexdigest()}", n_bytes))
        assert self._file is not None  # noqa: S101 - it was just set, behind the back of a frozen record
        return self._file


def mark_read(fingerprint: Fingerprint) -> Fingerprint:
    """Return a fingerprint as one whose form, signature and digests were found good; for the reader alone."""
    object.__setattr__(fingerprint, "_is_read", True)
    return fingerprint


def sign_fingerprint(
    levels: Levels, labels: Labels, indices: NDArray[np.int64], manifest: Manifest, signer: Signer
) -> Fingerprint:
    """Return the signed fingerprint.

    Args:
        levels: ``(n, *shape)`` grid levels of the examples.
        labels: ``(n,)`` int64 recorded labels.
        indices: ``(n,)`` int64 candidate indices.
        manifest: Everything else; ``signer`` must hold the private half of its public key.
        signer: The owner's key.

    Returns:
        The fingerprint, which holds copies of the arrays: what was signed cannot change afterwards.

    Raises:
        ShapeError: The arrays do not have the lengths, shapes and types that the manifest gives.
        ParameterError: The manifest is one that no reader would accept, or names another key than the signer's.
    """
    n_examples = manifest.n_examples
    if levels.shape != (n_examples, *manifest.base.input.shape) or not len(labels) == len(indices) == n_examples:
        raise ShapeError(
            f"examples {levels.shape}, labels {labels.shape} and indices {indices.shape} do not fit a manifest with "
            f"{n_examples} examples of shape {manifest.base.input.shape}"
        )
    if levels.dtype != manifest.grid.dtype or not labels.dtype == indices.dtype == np.int64:
        raise ShapeError(
            f"examples are {levels.dtype}, labels {labels.dtype} and indices {indices.dtype}; {manifest.grid.dtype}, "
            "int64 and int64 were expected"
        )
    if signer.public_key.keyval["public"] != manifest.public_key:
        raise ParameterError(f"the manifest names the key {manifest.public_key[:16]}..., which is not the signer's")
    try:
        Manifest.from_json(manifest.to_json())
    except BundleError as error:
        raise ParameterError(f"a bundle with this manifest could not be read again: {error}") from error
    members = _signed_members(levels, labels, indices, manifest)
    envelope = sign_members({name: member_digest(content) for name, content in members.items()}, signer)
    return Fingerprint(levels, labels, indices, manifest, envelope)


def _signed_members(levels: Levels, labels: Labels, indices: NDArray[np.int64], manifest: Manifest) -> dict[str, bytes]:
    return {
        MANIFEST: manifest.to_json(),
        EXAMPLES: npy.dump(levels),
        LABELS: npy.dump(labels),
        INDICES: npy.dump(indices),
    }
