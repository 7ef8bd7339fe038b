"""Half-finished evaluations, kept in a file beside their result: what was seen of each model so far.

Keyed by everything that could change an observation. It saves time and nothing else: what does not fit is dropped with
a word in the log. A task that failed is not kept, so that the next run tries it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from onnxfp.bundle import canonical_json
from onnxfp.bundle.records import build
from onnxfp.errors import FileError
from onnxfp.evaluation.task import Observation
from onnxfp.files import write_file

# Not the one of a generation, which may be going on beside the same bundle.
SUFFIX = ".evaluation.partial"
_SCHEMA = "onnxfp/evaluation-checkpoint/2"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the observations of one evaluation are kept.

    Attributes:
        path: The file.
        key: Hexadecimal digest of what the observations depend on.
    """

    path: Path
    key: str

    @classmethod
    def beside(cls, path: Path, settings: canonical_json.Json) -> Checkpoint:
        """Return the checkpoint of the evaluation whose result, or whose bundle, is ``path``."""
        key = hashlib.sha256(canonical_json.dump(settings)).hexdigest()
        return cls(path.with_name(path.name + SUFFIX), key)

    def load(self) -> dict[str, Observation]:
        """Return what was seen before, by key of the task; empty where nothing fits."""
        if not self.path.is_file():
            return {}
        try:
            value = canonical_json.load(self.path.read_bytes(), "the checkpoint")
            if value.get("schema") != _SCHEMA or value.get("key") != self.key:
                _log.warning("%s belongs to another evaluation and is ignored", self.path)
                return {}
            found = {str(name): build(Observation, seen, name) for name, seen in dict(value["observations"]).items()}
        except (OSError, KeyError, TypeError, ValueError) as error:
            _log.warning("%s is no checkpoint of an evaluation and is ignored (%s)", self.path, error)
            return {}
        _log.info("going on from %s: %d models were asked", self.path, len(found))
        return found

    def save(self, seen: Mapping[str, Observation]) -> None:
        """Write what was seen so far, whole or not at all; an unwritable folder costs the checkpoint only."""
        kept = {name: asdict(observation) for name, observation in seen.items() if not observation.error}
        try:
            write_file(self.path, canonical_json.dump({"schema": _SCHEMA, "key": self.key, "observations": kept}))
        except FileError as error:
            _log.warning("the evaluation cannot be resumed if it stops: %s", error)

    def remove(self) -> None:
        """Delete the file, if it is there."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
