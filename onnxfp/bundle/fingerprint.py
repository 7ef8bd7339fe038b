"""The fingerprint: examples, recorded labels, and where they come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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

Array = TypeVar("Array", bound=NDArray[Any])


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """A signed set of characteristic examples of one base model; compare two by their ``digest``.

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

    @property
    def n_examples(self) -> int:
        """Number of examples n."""
        return len(self.labels)

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the bundle file; the same content always makes the same file."""
        hashed = hashlib.sha256()
        for part in pack_parts(self.members()):
            hashed.update(part)
        return f"sha256:{hashed.hexdigest()}"

    def model_input(self) -> ModelInput:
        """Return what the base is fed: ``(n, *shape)`` float32."""
        return self.manifest.grid.to_model_input(self.levels)

    def members(self) -> dict[str, bytes]:
        """Return the bytes of every member of the bundle file, by name."""
        arrays = _signed_members(self.levels, self.labels, self.indices, self.manifest)
        return {MANIFEST: arrays[MANIFEST], SIGNATURE: self.envelope, **arrays}

    def save(self, path: str | Path, *, overwrite: bool = True) -> None:
        """Write the bundle file, whole or not at all.

        Args:
            path: Where the bundle shall be.
            overwrite: Whether an existing file may be replaced.

        Raises:
            ParameterError: The examples are larger than a bundle can be.
            FileError: The folder is missing or not writable, the disk is full, or what is there must not be replaced.
        """
        write_file(Path(path), pack(self.members()), overwrite=overwrite)


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
        The fingerprint, with read-only copies of the arrays: what was signed cannot change afterwards.

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
    levels, labels, indices = _frozen(levels), _frozen(labels), _frozen(indices)
    members = _signed_members(levels, labels, indices, manifest)
    envelope = sign_members({name: member_digest(content) for name, content in members.items()}, signer)
    return Fingerprint(levels, labels, indices, manifest, envelope)


def _frozen(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _signed_members(levels: Levels, labels: Labels, indices: NDArray[np.int64], manifest: Manifest) -> dict[str, bytes]:
    return {
        MANIFEST: manifest.to_json(),
        EXAMPLES: npy.dump(levels),
        LABELS: npy.dump(labels),
        INDICES: npy.dump(indices),
    }
