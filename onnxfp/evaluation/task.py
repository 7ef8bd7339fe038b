"""Tasks and observations: the plain values that go between processes and into the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from onnxfp.evidence.verdict import Counts

Kind = Literal["base", "variant", "query", "file"]


@dataclass(frozen=True, slots=True)
class Task:
    """One model to ask, or one way to ask the base.

    Attributes:
        key: Names it in a checkpoint: the variant's name, or a file's digest.
        kind: ``base`` for the base itself, a ``variant`` or ``query`` of the catalogue by name, or a ``file``.
        name: Name in the catalogue, or the file's path.
        takes_labels: Whether it is trained, which takes all cores for minutes.
    """

    key: str
    kind: Kind
    name: str
    takes_labels: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """How one model answered, or why it did not.

    Attributes:
        digest: ``sha256:<hex>`` of the model that was asked; empty after an error.
        counts: Its match counts, or ``None`` after an error.
        n_top5: Examples whose recorded label is within the top 5 of its scores; ``None`` where it gives none, or has no
            more than five classes.
        usefulness: Accuracy, or agreement with the base, in [0, 1].
        error: Empty, or what went wrong.
        seconds: Time it took.
    """

    digest: str = ""
    counts: Counts | None = None
    n_top5: int | None = None
    usefulness: float = 0.0
    error: str = ""
    seconds: float = 0.0

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Observation:
        """Return the observation of which these are the fields, as :func:`dataclasses.asdict` gives them."""
        counts = values["counts"]
        return cls(**{**values, "counts": None if counts is None else Counts(**counts)})
