"""Name, element type and shape of a graph input or output, as onnxruntime describes it."""

from __future__ import annotations

from dataclasses import dataclass

from onnxfp.text import escape_text

_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Tensor:
    """A graph input or output as onnxruntime describes it; axes are numbers, names or ``None``."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        # The words are the model's, and go into messages.
        return escape_text(f"{self.name} {self.type}{list(self.shape)}", _MAX_SHOWN)
