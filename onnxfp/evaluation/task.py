"""What there is to ask, and what was seen: the plain values that go between processes and into the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
        n_matches: Examples to which it gave the recorded label.
        n_answered: Examples that it answered at all.
        n_top5: Examples whose recorded label is within the top 5 of its scores; -1 where it gives none, or has no more
            than five classes.
        usefulness: Accuracy, or agreement with the base, in [0, 1].
        error: Empty, or what went wrong.
        seconds: Time it took.
    """

    digest: str = ""
    n_matches: int = 0
    n_answered: int = 0
    n_top5: int = -1
    usefulness: float = 0.0
    error: str = ""
    seconds: float = 0.0
