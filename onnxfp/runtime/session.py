"""A classifier behind onnxruntime: which tensor goes in, which comes out, and the answers to a batch.

The owner's model is re-scored through this session and every suspect is asked through it, so both see the same
rules for batches, outputs and element types.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import ContractError, ModelFormatError, ProviderError, SuspectError
from onnxfp.execution import IN_PROCESS, Execution
from onnxfp.model.io_contract import choose_input, choose_output, fixed_value, read_answer
from onnxfp.model.onnx_file import OnnxFile
from onnxfp.model.output_range import is_within_unit_range
from onnxfp.model_io import ModelIO
from onnxfp.runtime.isolated import IsolatedRuntime, LimitReachedError
from onnxfp.runtime.local import LocalRuntime, NoCudaError, RefusedError, Runtime
from onnxfp.types import InputSpec, Labels, ModelInput, OutputSpec, Scores

# Values of one batch: large enough to keep the cores busy, small enough to stay in their caches' reach.
_VALUES_A_BATCH = 2**21

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a classifier said to ``n`` inputs.

    Attributes:
        labels: ``(n,)`` int64; -1 where the model gave no finite score.
        scores: ``(n, n_classes)`` float32 logits or probabilities, or ``None`` when the model gives labels only.
    """

    labels: Labels
    scores: Scores | None


class ModelSession:
    """One ONNX classifier, open in onnxruntime.

    Args:
        model: The file that was read.
        io: Input and output, where the graph leaves a choice. Its grid is not used here.
        execution: Device and limits.
        n_classes: Expected number of classes, to choose between outputs.
        like: What the base takes and gives: where nothing else is said, its names choose between inputs and outputs,
            and its shape fills open axes.
        optimise: Whether onnxruntime may fuse nodes; off to compare quantised graphs bit by bit.

    Raises:
        ModelFormatError: onnxruntime refuses the model.
        ContractError: It is not a classifier with one input that can be told apart.
        ProviderError: CUDA was demanded and is not available.
    """

    def __init__(
        self,
        model: OnnxFile,
        io: ModelIO | None = None,
        *,
        execution: Execution = IN_PROCESS,
        n_classes: int | None = None,
        like: tuple[InputSpec, OutputSpec] | None = None,
        optimise: bool = True,
    ) -> None:
        io = io or ModelIO()
        self.model, self.execution = model, execution
        self._takes_one = False
        self._runtime = _open(model, execution, optimise=optimise)
        self.providers: tuple[str, ...] = self._runtime.providers
        self.holds: tuple[str, ...] = self._runtime.holds
        inputs, outputs = self._runtime.inputs, self._runtime.outputs
        like_input, like_output = like or (None, None)
        self.input: InputSpec = choose_input(model.path, inputs, io.input_name, io.input_shape, io.fixed, like_input)
        self._inputs = {tensor.name: tensor for tensor in inputs}
        self.fixed = {name: fixed_value(model.path, self._inputs, name, value) for name, value in io.fixed.items()}
        probe = np.zeros((self.input.batch or 1, *self.input.shape), self.input.dtype)
        answers = self._run([output.name for output in outputs], probe)
        self.output: OutputSpec = choose_output(
            model.path,
            outputs,
            answers,
            len(probe),
            io.output_name,
            n_classes,
            lambda name: is_within_unit_range(model.proto, name),
            like_output,
        )

    @property
    def batch_size(self) -> int:
        """Number of examples that one run takes."""
        if self._takes_one:
            return 1
        return self.input.batch or max(1, min(256, _VALUES_A_BATCH // int(np.prod(self.input.shape))))

    def answer(self, inputs: ModelInput) -> Answers:
        """Ask the model.

        Args:
            inputs: ``(n, *shape)`` float32 in the units of the model's input; converted to its element type.

        Returns:
            The answers in the same order.

        Raises:
            ContractError: ``inputs`` has another shape than the model's input.
            SuspectError: The model failed while it ran.
        """
        if inputs.shape[1:] != self.input.shape:
            raise ContractError(
                f"{self.model.path}: input {self.input.name!r} takes {self.input.shape}; found {inputs.shape[1:]}"
            )
        labels: list[Labels] = []
        scores: list[Scores] = []
        first = 0
        while first < len(inputs):
            try:
                part = self._answer_batch(inputs[first : first + self.batch_size])
            except (SuspectError, ContractError) as error:
                is_its_own_doing = isinstance(error.__cause__, LimitReachedError)
                if self.batch_size == 1 or self.input.batch or len(inputs) - first == 1 or is_its_own_doing:
                    raise
                # The batch size of the export is in a Reshape, though the input says that it is free.
                _log.info("%s takes one example at a time: %s", self.model.path, error)
                self._takes_one = True
                continue
            labels.append(part[0])
            if part[1] is not None:
                scores.append(part[1])
            first += len(part[0])
        return Answers(
            labels=np.concatenate(labels) if labels else np.empty(0, np.int64),
            scores=np.concatenate(scores) if scores else None,
        )

    def _answer_batch(self, inputs: ModelInput) -> tuple[Labels, Scores | None]:
        """Return the answers to no more examples than one run takes."""
        batch = to_element_type(inputs, self.input.dtype)
        if self.input.batch and len(inputs) < self.input.batch:
            batch = np.concatenate([batch, np.repeat(batch[-1:], self.input.batch - len(inputs), axis=0)])
        labels, scores = read_answer(self.model.path, self.output, self._run([self.output.name], batch)[0], len(batch))
        return labels[: len(inputs)], None if scores is None else scores[: len(inputs)]

    def _for_batch(self, name: str, value: NDArray[Any], n: int) -> NDArray[Any]:
        """Return a fixed value once for each example, where the graph wants it so."""
        has_batch = value.ndim > 0 and not isinstance(self._inputs[name].shape[0], int)
        return np.repeat(value, n, axis=0) if has_batch else value

    def gives_probabilities(self, inputs: ModelInput) -> bool:
        """Whether the scores of these inputs are probabilities: within [0, 1], and with a sum of one.

        Args:
            inputs: ``(n, *shape)`` float32 model input.
        """
        scores = self.answer(inputs).scores
        if scores is None:
            return False
        return bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1.0, atol=1e-2))

    def feeds(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return what every graph input is fed for a batch of the chosen input's own element type."""
        others = {name: self._for_batch(name, value, len(batch)) for name, value in self.fixed.items()}
        return {self.input.name: batch, **others}

    def _run(self, names: list[str], batch: NDArray[Any]) -> list[Any]:
        try:
            return self._runtime.run(names, self.feeds(batch))
        except RefusedError as error:
            raise SuspectError(
                f"{self.model.path} failed on a batch of shape {batch.shape}: {error}",
                hint=_hint(error, "the file may be damaged, or its graph only takes another batch size or input shape"),
            ) from error


def open_unoptimised(session: ModelSession) -> ModelSession:
    """Return the same model on the CPU without optimisations: what a torch copy is compared with."""
    return ModelSession(
        session.model,
        ModelIO(
            input_name=session.input.name,
            input_shape=session.input.shape,
            output_name=session.output.name,
            fixed=session.fixed,
        ),
        execution=replace(session.execution, device="cpu"),
        optimise=False,
    )


def to_element_type(inputs: ModelInput, dtype: str) -> NDArray[Any]:
    """Return model input in a model's element type; integers are rounded and clipped to its range.

    Args:
        inputs: ``(n, *shape)`` float32 in the units of the model's input.
        dtype: NumPy name of the element type.
    """
    target = np.dtype(dtype)
    if np.issubdtype(target, np.integer):
        limits = np.iinfo(target)
        return np.clip(np.rint(inputs), limits.min, limits.max).astype(target)
    return inputs.astype(target)


def _open(model: OnnxFile, execution: Execution, *, optimise: bool) -> Runtime:
    provider, limits = execution.device, execution.limits
    # Without external data the checked bytes themselves are opened, not whatever lies at the path by now.
    source: str | bytes = str(model.real_path) if model.external else model.content
    runtime: Runtime
    try:
        if limits is None:
            runtime = LocalRuntime(source, provider, optimise=optimise)
        else:
            runtime = IsolatedRuntime(source, provider, optimise=optimise, n_bytes=model.n_bytes, limits=limits)
    except NoCudaError as error:
        raise ProviderError(
            f"CUDA was demanded, but onnxruntime cannot use it here{f' ({error})' if str(error) else ''}",
            hint="install onnxruntime-gpu and the CUDA libraries it names, or use --provider auto",
        ) from error
    except RefusedError as error:
        raise ModelFormatError(
            f"{model.path} cannot be opened: {error}",
            hint=_hint(error, "check the file with onnx.checker, or install a newer onnxruntime"),
        ) from error
    if runtime.warning:
        _log.warning("CUDA is not usable (%s); the CPU is used instead", runtime.warning)
    return runtime


def _hint(error: RefusedError, otherwise: str) -> str:
    if isinstance(error, LimitReachedError):
        return "if you trust the model, allow it more with --max-memory or --max-seconds"
    return otherwise
