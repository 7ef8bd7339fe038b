"""Pools of models that are asked the same examples as the suspect: references, ancestors, co-descendants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.manifest import BaseModel
from onnxfp.errors import ContractError
from onnxfp.evaluation.synthetic_inputs import synthesise
from onnxfp.evidence.lineage import AncestorCount
from onnxfp.evidence.null import ReferenceCount
from onnxfp.evidence.reference_pool import N_SYNTHETIC, ReferenceAnswers
from onnxfp.evidence.statistics import count_matches
from onnxfp.evidence.top_k import rank_labels
from onnxfp.execution import Execution
from onnxfp.model_io import ModelIO
from onnxfp.runtime.session import ModelSession
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.suspects.references import Models, model_files, open_like
from onnxfp.types import InputGrid, Labels, Levels


def measure_pool(
    pool: Iterable[ModelSession], levels: Levels, labels: Labels, base: BaseModel, grid: InputGrid
) -> Iterator[ReferenceCount]:
    """Yield how often each model of a pool gives the recorded labels.

    Args:
        pool: The open models.
        levels: ``(n, *shape)`` grid levels of the examples.
        labels: ``(n,)`` recorded labels.
        base: The base that the examples were crafted on.
        grid: The grid of the examples.

    Raises:
        ContractError: A model takes examples of another shape.
        SuspectError: A model failed while it ran.
    """
    for session in pool:
        answers = OnnxSuspect(session, base.input, grid).answer(levels)
        yield ReferenceCount(session.model.digest, count_matches(labels, answers.labels), len(labels))


def ask_pool(pool: Iterable[ModelSession], fingerprint: Fingerprint) -> tuple[ReferenceAnswers, ...]:
    """Return the answers of each model of a pool to the examples and to synthetic inputs.

    Args:
        pool: The open models.
        fingerprint: The examples.

    Raises:
        ContractError: A model takes examples of another shape.
        SuspectError: A model failed while it ran.
    """
    manifest, labels, n = fingerprint.manifest, fingerprint.labels, fingerprint.n_examples
    inputs: Levels | None = None
    found = []
    for session in pool:
        if inputs is None:
            inputs = np.concatenate([fingerprint.levels, synthesise(manifest, N_SYNTHETIC)])
        answers = OnnxSuspect(session, manifest.base.input, manifest.grid).answer(inputs)
        scores = None if answers.scores is None else answers.scores[:n]
        count = ReferenceCount(session.model.digest, count_matches(labels, answers.labels[:n]), n)
        found.append(ReferenceAnswers(count, answers.labels, rank_labels(labels, scores)))
    return tuple(found)


def ask_ancestors(
    ancestors: Models, fingerprint: Fingerprint, io: ModelIO, execution: Execution
) -> tuple[AncestorCount, ...]:
    """Return how often each declared ancestor gives the recorded labels.

    An ancestor with other classes or another input than the base's cannot be asked, and has no count.

    Args:
        ancestors: Files and folders.
        fingerprint: The examples.
        io: Values of other graph inputs.
        execution: Device and limits.

    Raises:
        ModelError: A file is no safe ONNX model.
        FileError: A file cannot be read.
    """
    manifest = fingerprint.manifest
    found = []
    for file in model_files(ancestors):
        count: int | None
        try:
            session = open_like(file, manifest.base, execution, io.fixed)
            (counted,) = measure_pool([session], fingerprint.levels, fingerprint.labels, manifest.base, manifest.grid)
            count = counted.n_matches
        except ContractError:
            count = None
        found.append(AncestorCount(file.digest, "verifier", count))
    return tuple(found)
