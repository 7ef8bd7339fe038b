"""An accuser's own key is good for signing any manifest: it must still be one that can be used without harm.

``ONNXFP_MUTATIONS`` sets how many random ones are tried.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from onnxfp.bundle import canonical_json, npy
from onnxfp.bundle.manifest import Manifest
from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.signing import member_digest, sign_members
from onnxfp.bundle.writer import EXAMPLES, INDICES, LABELS, MANIFEST, SIGNATURE, pack
from onnxfp.errors import BundleError, BundleFormatError, OnnxfpError
from onnxfp.recipe.derivation import check_derivation, derive_labels
from tests.fuzz.limits import limited_time
from tests.fuzz.mutations import put_strange_values

COUNT = max(1, int(os.environ.get("ONNXFP_MUTATIONS", "4000")) // 4)

STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    255,
    256,
    65536,
    2**31,
    2**63,
    10**30,
    0.0,
    -0.0,
    0.5,
    1.0,
    1e-300,
    5e-324,
    1e38,
    1e299,
    1.7e308,
    "",
    "c",
    "ltrc",
    "pink",
    "none",
    "NC",
    "O",
    "V8",
    "\x1b[2J",
    "\ud800",
    "a" * 2000,
    [],
    [0],
    [1, 1],
    [2, 1],
    [0, 1, 2],
    [1] * 40,
    [[]],
    {},
    {"a": 1},
    [3, 4, 4],
    [2**24, 2],
    ["a", "b"],
    [0.0, 0.0, 0.0],
    [5e-324],
)


def put(path: str, new: object) -> Callable[[dict[str, Any]], None]:
    def edit(value: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            value = value[parent]
        value[last] = new

    return edit


def open_signed(forge: Any, value: dict[str, Any]) -> None:
    """Sign ``value`` as a manifest with the derived labels where there are any, and use it as a verifier does."""
    text = canonical_json.dump(value)
    try:
        manifest = Manifest.from_json(text)
        context, n_examples = manifest.derivation_context(), manifest.n_examples
        shape, dtype = (n_examples, *context.shape), context.grid.dtype
        labels = derive_labels(context, range(n_examples))
    except BundleError:
        shape, dtype, n_examples, labels = (6, 3, 8, 8), np.dtype(np.uint8), 6, np.zeros(6, np.int64)
    if np.prod([float(axis) for axis in shape]) > 2**24:
        return
    members = {
        MANIFEST: text,
        EXAMPLES: npy.dump(np.zeros(shape, dtype)),
        LABELS: npy.dump(labels),
        INDICES: npy.dump(np.arange(n_examples, dtype=np.int64)),
    }
    members[SIGNATURE] = sign_members({n: member_digest(c) for n, c in members.items()}, forge.signer)
    loaded = parse_bundle(pack(members))
    assert np.isfinite(loaded.model_input()).all()
    assert loaded.members() == members
    check_derivation(
        loaded.manifest.derivation_context(),
        loaded.levels,
        loaded.labels,
        loaded.indices,
        loaded.manifest.n_candidates,
    )


@pytest.mark.parametrize(
    ("edits", "complaint"),
    [
        # Once read, each of these ended in an IndexError, a ValueError or an overflow when it was used.
        ({"base.spatial_axes": [1, 1]}, "spatial_axes"),
        (
            {"base.input.shape": [2, 2, 2, 2], "base.input.layout": "OTHER", "base.spatial_axes": [0, 1, 2, 3]},
            "spatial_axes",
        ),
        # These ended so when the examples were shown or exported.
        ({"base.input.shape": [10], "base.spatial_axes": []}, "layout"),
        ({"base.input.shape": [3, 8], "base.input.layout": "NHWC", "base.spatial_axes": [0, 1]}, "layout"),
        ({"base.input.shape": [2, 4, 4, 3], "base.input.layout": "NHWC", "base.spatial_axes": [0, 1]}, "layout"),
        ({"base.input.shape": [1] * 100, "base.spatial_axes": []}, "shape"),
        ({"grid.mean": [1e299]}, "overflows"),
        ({"grid.std": [5e-324]}, "overflows"),
        ({"grid.bounds": {"lower": -9e299, "upper": 9e299}}, "overflows"),
        # Minutes of shuffling for the verifier.
        ({"base.n_classes": 2**22, "base.output.n_classes": 2**22}, "n_classes"),
        ({"n_candidates": 601}, "n_candidates"),
        # Nonsense that nothing downstream expects.
        ({"base.input.dtype": "O"}, "dtype"),
        ({"base.input.batch": -5}, "batch"),
        ({"base.output.n_classes": 3}, "contradicts"),
        ({"copy_parity.n_label_flips": -5}, "copy_parity"),
        ({"created": "2026-99-99T99:99:99Z"}, "UTC time"),
        ({"created": "\u0968\u0966\u0968\u096c-01-02T03:04:05Z"}, "UTC time"),
        ({"recipe.step_size": 1}, "second spelling"),
    ],
)
def test_a_signed_manifest_that_would_do_harm_is_refused(forge: Any, edits: dict[str, object], complaint: str) -> None:
    value = json.loads(forge.manifest().to_json())
    for path, new in edits.items():
        put(path, new)(value)
    with pytest.raises(BundleFormatError, match=complaint) as raised:
        open_signed(forge, value)
    assert raised.value.hint


def test_no_signed_manifest_ends_in_a_crash(forge: Any) -> None:
    rng = random.Random(20260103)
    text = forge.manifest().to_json()
    for _ in range(COUNT):
        value = json.loads(text)
        put_strange_values(value, STRANGE, rng)
        with limited_time():
            try:
                open_signed(forge, value)
            except OnnxfpError:
                pass
            except ValueError as error:
                # The attacker's own writer refuses infinity; everything else is ours.
                assert "JSON compliant" in str(error), value  # noqa: PT017
