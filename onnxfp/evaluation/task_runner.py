"""Makes each variant and asks it the examples: the work of one process, which may come to its end in it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import EncodeError
from numpy.typing import NDArray

from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.errors import ModelFormatError, OnnxfpError
from onnxfp.evaluation.synthetic_inputs import synthesise
from onnxfp.evaluation.task import Observation, Task
from onnxfp.evaluation.user_data import Data
from onnxfp.evidence.statistics import count_matches, match_rate
from onnxfp.evidence.top_k import count_within, rank_labels
from onnxfp.evidence.verdict import Counts
from onnxfp.execution import Execution, Limits
from onnxfp.model.onnx_file import read_onnx
from onnxfp.runtime.local import Provider
from onnxfp.runtime.session import ModelSession
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.suspects.references import open_like
from onnxfp.types import Labels, Levels
from onnxfp.variants.base_assets import N_CALIBRATION, BaseAssets
from onnxfp.variants.catalogue import InputTransform, Suite, list_input_transforms, list_variants

N_USEFULNESS: Mapping[Suite, int] = {"quick": 500, "standard": 1000, "full": 2000}
"""Most inputs on which usefulness is measured."""

_TOP = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Which of the data usefulness is measured on, and which may be learned from; apart where anything is trained.

    Attributes:
        measured: Indices of inputs for usefulness, increasing.
        learned: Indices of inputs for calibration and training.
    """

    measured: NDArray[np.int64]
    learned: NDArray[np.int64]


def split_data(n: int, suite: Suite, *, is_trained: bool) -> Split:
    """Return which inputs serve for what, spread evenly.

    Args:
        n: Number of inputs.
        suite: Says how many to measure on.
        is_trained: Whether variants are trained on the data: at most a fifth is then measured on.
    """
    most = min(N_USEFULNESS[suite], max(1, n // 5) if is_trained else n)
    measured = np.unique(np.linspace(0, n - 1, most).astype(np.int64))
    learned = np.setdiff1d(np.arange(n), measured) if is_trained or n > 2 * most else np.arange(n)
    return Split(measured, learned)


class TaskRunner:
    """Everything that one process needs to make variants and ask them.

    Args:
        base: The base model's file.
        fingerprint: A fingerprint that was checked.
        suite: Which variants there are.
        data: The user's inputs, or ``None`` for synthetic ones.
        fixed: Values of the base's other graph inputs.
        provider: Where onnxruntime runs.
        limits: What each model may take in a process of its own; ``None`` opens them in this one.
    """

    def __init__(
        self,
        base: Path,
        fingerprint: Fingerprint,
        suite: Suite,
        *,
        data: Data | None = None,
        fixed: Mapping[str, Any] | None = None,
        provider: Provider = "auto",
        limits: Limits | None = None,
    ) -> None:
        self._file, self._fingerprint, self._suite = read_onnx(base), fingerprint, suite
        self._data, self._fixed, self._provider, self._limits = data, dict(fixed or {}), provider, limits
        self._manifest = fingerprint.manifest
        self._spec = self._manifest.base
        self._is_trained = is_trained = data is not None and data.labels is not None and suite != "quick"
        self._levels = synthesise(self._manifest, N_USEFULNESS[suite]) if data is None else data.levels
        self._split = split_data(len(self._levels), suite, is_trained=is_trained)
        self._variants = {v.name: v for v in list_variants(suite, has_labels=is_trained)}
        self._input_transforms = {query.name: query for query in list_input_transforms(suite)}

    def run(self, task: Task) -> Observation:
        """Return how the task went; whatever goes wrong with it is part of the answer."""
        began = time.monotonic()
        try:
            seen = self._run(task)
        except OnnxfpError as error:
            seen = Observation(error=str(error) or type(error).__name__)
        # Libraries fail in many ways on what variants do to a graph; one of them must cost one row and no more.
        except Exception as error:  # noqa: BLE001
            seen = Observation(error=f"{type(error).__name__}: {error}")
        return replace(seen, seconds=time.monotonic() - began)

    def _run(self, task: Task) -> Observation:
        if task.kind == "base":
            return self._question(self._base)
        if task.kind == "query":
            return self._question(self._base, self._input_transforms[task.name])
        if task.kind == "file":
            return self._question(self._open(Path(task.name)))
        model = self._variants[task.name].make(self._assets)
        with tempfile.TemporaryDirectory(prefix="onnxfp-") as folder:
            path = Path(folder) / "variant.onnx"
            try:
                path.write_bytes(model.SerializeToString())
            except (ValueError, EncodeError) as error:
                raise ModelFormatError(f"the variant is larger than an ONNX file can be: {error}") from error
            return self._question(self._open(path))

    def _question(self, session: ModelSession, query: InputTransform | None = None) -> Observation:
        suspect = OnnxSuspect(session, self._spec.input, self._manifest.grid)
        recorded = self._fingerprint.labels
        answers = suspect.answer(self._changed(self._fingerprint.levels, query))
        measured = self._levels[self._split.measured]
        useful = suspect.answer(self._changed(measured, query)).labels
        ranks = rank_labels(recorded, answers.scores)
        return Observation(
            digest=session.model.digest,
            counts=Counts(
                n_matches=count_matches(recorded, answers.labels),
                n_answered=int((answers.labels >= 0).sum()),
                n_asked=self._fingerprint.n_examples,
                n_candidates=self._manifest.n_candidates,
            ),
            n_top5=None if ranks is None or self._spec.n_classes <= _TOP else count_within(ranks, _TOP),
            usefulness=match_rate(self._truth, useful),
        )

    def _changed(self, levels: Levels, query: InputTransform | None) -> Levels:
        """Return the levels after what a service does to images."""
        if query is None:
            return levels
        most, is_last = self._manifest.grid.n_levels - 1, self._spec.input.layout == "NHWC"
        images = levels.astype(np.float32) / np.float32(most)
        changed = query.transform(np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if is_last else images)
        changed = changed.transpose(0, 2, 3, 1) if is_last else changed
        rounded = np.rint(np.clip(changed, 0, 1) * most)
        return rounded.astype(np.uint8) if levels.dtype == np.uint8 else rounded.astype(np.uint16)

    def _open(self, path: Path) -> ModelSession:
        """Open the base, a copy of it that was made here, or a model that was given."""
        file = read_onnx(path)
        return open_like(file, self._spec, Execution(self._provider, self._limits), self._fixed)

    @cached_property
    def _base(self) -> ModelSession:
        return self._open(self._file.path)

    @cached_property
    def _truth(self) -> Labels:
        """What the measured inputs should be called: their labels, or what the base calls them."""
        if self._data is not None and self._data.labels is not None:
            return self._data.labels[self._split.measured]
        suspect = OnnxSuspect(self._base, self._spec.input, self._manifest.grid)
        return suspect.answer(self._levels[self._split.measured]).labels

    @cached_property
    def _assets(self) -> BaseAssets:
        learned = self._split.learned if self._is_trained else self._split.learned[:N_CALIBRATION]
        labels = self._data.labels if self._data is not None else None
        inputs = self._manifest.grid.to_model_input(self._levels[learned])
        return BaseAssets(
            base=self._file.load_proto(),
            input=self._base.input,
            output=self._base.output,
            inputs=inputs,
            labels=labels[learned] if labels is not None else None,
            fixed=self._base.fixed,
            gives_probabilities=self._base.gives_probabilities(inputs[:32]),
        )
