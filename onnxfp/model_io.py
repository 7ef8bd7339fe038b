"""Choice and meaning of a model's inputs and outputs, where the graph leaves them open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from numpy.typing import ArrayLike

from onnxfp.errors import ParameterError
from onnxfp.types import InputGrid


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelIO:
    """How examples enter a model, and where its answer is read.

    Each field is needed only where the graph leaves a choice.

    Attributes:
        input_name: Graph input that examples go to, if there are several.
        input_shape: Shape of one example, where the graph leaves axes open.
        output_name: Graph output with the classification, if there are several.
        fixed: Values for the other graph inputs, one number or as many as the input holds for one example.
        grid: Bounds and normalisation of the input. By default those of an image in [0, 1], or [0, 255] for byte
            inputs; for a suspect those of the base.

    Raises:
        ParameterError: A length of the shape is not positive.
    """

    input_name: str | None = None
    input_shape: tuple[int, ...] | None = None
    output_name: str | None = None
    fixed: Mapping[str, ArrayLike] = field(default_factory=dict)
    grid: InputGrid | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed", dict(self.fixed))
        if self.input_shape is not None:
            object.__setattr__(self, "input_shape", tuple(map(int, self.input_shape)))
        if self.input_shape is not None and not all(length > 0 for length in self.input_shape):
            raise ParameterError(
                f"the lengths of an example's axes are positive; found {self.input_shape}",
                hint="give the shape without the batch axis, for example --input-shape 3,224,224",
            )

    @property
    def is_default(self) -> bool:
        """Whether nothing is chosen, and all is left to the graph."""
        return not self.fixed and all(
            choice is None for choice in (self.input_name, self.input_shape, self.output_name, self.grid)
        )
