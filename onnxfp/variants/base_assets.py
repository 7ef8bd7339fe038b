"""What variants are made from: the base, the tensors it takes and gives, and inputs of its own kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onnxfp.types import InputSpec, Labels, ModelInput, OutputSpec
from onnxfp.variants.normalisation import MIN_BATCH, Statistics, measure_channels
from onnxfp.variants.quantisation import Feeds
from onnxfp.variants.weights import normalise

N_CALIBRATION = 256
"""Inputs on which a static quantiser measures ranges, and channel statistics are taken."""


@dataclass(frozen=True, eq=False)
class BaseAssets:
    """What a variant is made from.

    Attributes:
        base: The base model, external data included.
        input: The tensor that examples go to.
        output: The tensor that scores are read from.
        inputs: ``(n, *shape)`` float32 model input of the base's own kind: data, or noise.
        labels: ``(n,)`` int64 labels of ``inputs``, or ``None``; without them nothing can be trained.
        fixed: Values of the other graph inputs; an axis of length 1 where the graph leaves the batch open.
        gives_probabilities: Whether the scores are probabilities.
        seed: Seeds whatever is drawn.
    """

    base: onnx.ModelProto
    input: InputSpec
    output: OutputSpec
    inputs: ModelInput
    labels: Labels | None = None
    fixed: dict[str, NDArray[Any]] = field(default_factory=dict)
    gives_probabilities: bool = False
    seed: int = 0

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The base in the form of :func:`~onnxfp.variants.weights.normalise`; not to be modified."""
        return normalise(self.base)

    @cached_property
    def channels(self) -> dict[str, Statistics]:
        """What the channels of the base's convolutions do over the first inputs, by name of the convolution's output.

        Raises:
            ModelError: See :func:`~onnxfp.variants.normalisation.measure_channels`.
        """
        return measure_channels(self.model, self.statistics_batches())

    def statistics_batches(self, n: int = N_CALIBRATION) -> Iterator[Feeds]:
        """Yield the first ``n`` inputs in batches for :mod:`~onnxfp.variants.normalisation`."""
        batches = self.calibration_batches(n, least=MIN_BATCH)
        return (feeds for feeds in batches if len(feeds[self.input.name]) >= MIN_BATCH)

    @property
    def kept_names(self) -> set[str]:
        """Names by which a graph with several inputs or outputs must still be told apart."""
        graph = self.base.graph
        initializers = {tensor.name for tensor in graph.initializer}
        inputs = [value.name for value in graph.input if value.name not in initializers]
        outputs = [value.name for value in graph.output]
        return {name for names in (inputs, outputs) if len(names) > 1 for name in names}

    def calibration_batches(self, n: int = N_CALIBRATION, *, least: int = 1) -> Iterator[Feeds]:
        """Yield the first ``n`` inputs in batches.

        Args:
            n: How many inputs.
            least: Smallest batch that is of use; a graph that demands smaller ones does not take those that come then.
        """
        size = self.input.batch if self.input.batch and self.input.batch >= least else 32
        inputs = self.inputs[:n]
        free = {
            value.name
            for value in self.base.graph.input
            if not value.type.tensor_type.shape.dim[:1] or not value.type.tensor_type.shape.dim[0].dim_value
        }
        for first in range(0, len(inputs), size):
            batch = inputs[first : first + size]
            if self.input.batch == size and len(batch) < size:
                return
            others = {
                name: np.repeat(value, len(batch), axis=0) if name in free and value.ndim else value
                for name, value in self.fixed.items()
            }
            dtype = np.dtype(self.input.dtype)
            if np.issubdtype(dtype, np.integer):
                batch = np.rint(batch)
            yield {self.input.name: batch.astype(dtype), **others}
