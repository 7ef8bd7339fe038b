"""Half-finished generations, kept beside the bundle that they will become.

A checkpoint saves time and nothing else: it is keyed by the derivation context, read as strictly as a bundle, and
dropped with a word in the log when it does not fit. Its examples pass the same derivation check as a bundle's.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from onnxfp.bundle import canonical_json, npy
from onnxfp.crafting.state import Crafted
from onnxfp.errors import CodecError, DerivationError, ParameterError
from onnxfp.files import write_file
from onnxfp.recipe.derivation import DerivationContext, check_derivation

SUFFIX = ".partial"
# A state is written when at least so many times as much time has passed as the last one took.
_WAIT = 50
_MAGIC = b"onnxfp/checkpoint/1\n"
_MAX_HEAD_BYTES = 2**12

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Checkpoint:
    """Where the state of one generation is kept.

    As a context, it writes what was not written yet when the block ends by an error or Ctrl-C.

    Attributes:
        path: The checkpoint file.
        context: The derivation context that it belongs to.
        avoided: Digests of the models that the examples are kept from matching.
    """

    path: Path
    context: DerivationContext
    avoided: tuple[str, ...] = ()
    _pending: Crafted | None = None
    _due: float = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._pending is not None:
            self.save(self._pending)

    def keep(self, crafted: Crafted) -> None:
        """Write the state, or remember it for later if writing would take more than a small share of the time.

        Each state holds all that came before: written after every batch, they would cost the square of their number.

        Raises:
            FileError: As :meth:`save`.
        """
        self._pending = crafted
        began = time.monotonic()
        if began >= self._due:
            self.save(crafted)
            self._pending = None
            ended = time.monotonic()
            self._due = ended + _WAIT * (ended - began)

    @classmethod
    def beside(cls, output: Path, context: DerivationContext, avoided: tuple[str, ...] = ()) -> Checkpoint:
        """Return the checkpoint of the bundle that will be ``output``."""
        return cls(output.with_name(output.name + SUFFIX), context, avoided)

    def save(self, crafted: Crafted) -> None:
        """Write the state, whole or not at all.

        Raises:
            FileError: The folder is not writable, or the disk is full.
        """
        head = canonical_json.dump(
            {
                "context": self._key(),
                "n_kept": len(crafted.labels),
                "n_candidates": crafted.n_candidates,
                "noise": crafted.noise,
            }
        )
        arrays = b"".join(npy.dump(a) for a in (crafted.levels, crafted.labels, crafted.indices))
        write_file(self.path, _MAGIC + len(head).to_bytes(4, "little") + head + arrays)

    def load(self) -> Crafted | None:
        """Return the state that was saved, or ``None`` where there is none that fits."""
        if not self.path.is_file():
            return None
        try:
            with self.path.open("rb") as stream:
                crafted = self._parse(stream, self.path.stat().st_size)
        except (OSError, MemoryError, CodecError, DerivationError, ParameterError) as error:
            _log.warning("%s does not belong to this generation and is ignored (%s)", self.path, error)
            return None
        _log.info("going on from %s: %d examples", self.path, len(crafted.labels))
        return crafted

    def remove(self) -> None:
        """Delete the file, if it is there."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _key(self) -> str:
        """Return what tells this generation from any other."""
        key = self.context.digest()
        for digest in self.avoided:
            key = hashlib.sha256(key + digest.encode()).digest()
        return key.hex()

    def _parse(self, stream: BinaryIO, n_bytes: int) -> Crafted:
        start = len(_MAGIC) + 4
        beginning = stream.read(start)
        if not beginning.startswith(_MAGIC):
            raise CodecError("not a checkpoint")
        length = int.from_bytes(beginning[len(_MAGIC) :], "little")
        if length > _MAX_HEAD_BYTES:
            raise CodecError("its head is malformed")
        head = canonical_json.load(stream.read(length), "the checkpoint")
        match head:
            case {"context": str(digest), "n_kept": int(n), "n_candidates": int(m), "noise": int() | float() as noise}:
                if digest != self._key():
                    raise CodecError("another model, key or recipe, or other models to avoid")
            case _:
                raise CodecError("its head is malformed")
        # The noise is only ever lowered while examples are crafted.
        if not (0 <= n <= m < 2**63 and 0 <= noise <= self.context.recipe.noise):
            raise CodecError("a number is out of range")
        integer = np.dtype(np.int64)
        parts = ((self.context.grid.dtype, (n, *self.context.shape)), (integer, (n,)), (integer, (n,)))
        sizes = [npy.size(dtype, shape) for dtype, shape in parts]
        # Before anything is read: a file may be longer than any memory.
        if n_bytes != start + length + sum(sizes):
            raise CodecError("its length is not that of its arrays")
        arrays = [
            npy.load(stream.read(size), dtype, shape, "the checkpoint")
            for size, (dtype, shape) in zip(sizes, parts, strict=True)
        ]
        crafted = Crafted(arrays[0], arrays[1], arrays[2], m, float(noise))
        if n:
            check_derivation(self.context, crafted.levels, crafted.labels, crafted.indices, crafted.n_candidates)
        return crafted
