"""A bundle of few examples whose labels lie in many blocks of very many classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from onnxfp.bundle.manifest import MAX_CANDIDATES_PER_EXAMPLE, MAX_CLASSES
from onnxfp.recipe.derivation import derive_labels
from tests.fuzz.limits import limited_memory, limited_time


def test_what_is_not_asked_for_costs_little(forge: Any) -> None:
    context = replace(forge.manifest().derivation_context(), n_classes=MAX_CLASSES)
    # A megabyte, and 23 blocks of 262,144 classes.
    indices = np.arange(60_000) * MAX_CANDIDATES_PER_EXAMPLE
    with limited_memory(), limited_time(0.5):
        labels = derive_labels(context, indices)
    assert len(np.unique(labels)) > 40_000
