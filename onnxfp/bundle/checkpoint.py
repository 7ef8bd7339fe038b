"""Half-finished generations, kept beside the bundle that they will become.

A checkpoint saves time and nothing else: it is keyed by the derivation context, read as strictly as a bundle, and
dropped with a word in the log when it does not fit. Its examples pass the same derivation check as a bundle's.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from onnxfp.bundle import canonical_json, npy
from onnxfp.bundle.atomic import write_file
from onnxfp.errors import BundleError, BundleFormatError, DerivationError, ParameterError
from onnxfp.examples.crafted import Crafted
from onnxfp.examples.derivation import DerivationContext, check_derivation

SUFFIX = ".partial"
# A state is written when at least so many times as much time has passed as the last one took.
_WAIT = 50
_MAGIC = b"onnxfp/checkpoint/1\n"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Checkpoint:
    """Where the state of one generation is kept.

    As a context, it writes what was not written yet when the block ends by an error or Ctrl-C.

    Attributes:
        path: The checkpoint file.
        context: The derivation context that it belongs to.
    """

    path: Path
    context: DerivationContext
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
    def beside(cls, output: Path, context: DerivationContext) -> Checkpoint:
        """Return the checkpoint of the bundle that will be ``output``."""
        return cls(output.with_name(output.name + SUFFIX), context)

    def save(self, crafted: Crafted) -> None:
        """Write the state, whole or not at all.

        Raises:
            FileError: The folder is not writable, or the disk is full.
        """
        head = canonical_json.dump(
            {
                "context": self.context.digest().hex(),
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
            crafted = self._parse(self.path.read_bytes())
        except (OSError, BundleError, DerivationError, ParameterError) as error:
            _log.warning("%s does not belong to this generation and is ignored (%s)", self.path, error)
            return None
        _log.info("going on from %s: %d examples", self.path, len(crafted.labels))
        return crafted

    def remove(self) -> None:
        """Delete the file, if it is there."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _parse(self, content: bytes) -> Crafted:
        start = len(_MAGIC) + 4
        if not content.startswith(_MAGIC):
            raise BundleFormatError("it is no checkpoint")
        length = int.from_bytes(content[len(_MAGIC) : start], "little")
        head = canonical_json.load(content[start : start + length], "the checkpoint")
        match head:
            case {"context": str(digest), "n_kept": int(n), "n_candidates": int(m), "noise": int() | float() as noise}:
                if digest != self.context.digest().hex():
                    raise BundleFormatError("another model, key or recipe")
            case _:
                raise BundleFormatError("its head is malformed")
        # The noise is only ever lowered while examples are crafted.
        if not (0 <= n <= m < 2**63 and 0 <= noise <= self.context.recipe.noise):
            raise BundleFormatError("a number is out of range")
        rest = content[start + length :]
        integer = np.dtype(np.int64)
        arrays = []
        for dtype, shape in ((self.context.grid.dtype, (n, *self.context.shape)), (integer, (n,)), (integer, (n,))):
            n_bytes = npy.size(dtype, shape)
            arrays.append(npy.load(rest[:n_bytes], dtype, shape, "the checkpoint"))
            rest = rest[n_bytes:]
        if rest:
            raise BundleFormatError("something follows its arrays")
        crafted = Crafted(arrays[0], arrays[1], arrays[2], m, float(noise))
        if n:
            check_derivation(self.context, crafted.levels, crafted.labels, crafted.indices, crafted.n_candidates)
        return crafted
