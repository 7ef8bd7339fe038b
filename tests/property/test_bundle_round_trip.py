"""Whatever can be signed comes back equal, and its file is the only one for its content."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from onnxfp.bundle import npy
from onnxfp.bundle.fingerprint import sign_fingerprint
from onnxfp.bundle.manifest import AncestorResult, CopyParity, Lineage, ReferenceResult
from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.writer import pack
from onnxfp.model.io_contract import spatial_axes
from onnxfp.types import Bounds, InputGrid, Layout

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
LAYOUTS: tuple[Layout, ...] = ("NC", "NLC", "NCHW", "NDHWC", "OTHER")
TEXT = st.text(max_size=40).filter(str.isprintable)


def lineage_of(counts: list[int | None] | None) -> Lineage:
    """Return what is declared with these counts of ancestors; ``None`` declares nothing."""
    if counts is None:
        return Lineage()
    ancestors = tuple(AncestorResult(f"sha256:{i:064x}", count) for i, count in enumerate(counts))
    return Lineage("declared" if ancestors else "from scratch", ancestors)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    n_examples=st.integers(1, 7),
    n_levels=st.sampled_from([256, 65536]),
    mean=NUMBERS,
    std=st.floats(1e-3, 1e6),
    lower=NUMBERS,
    name=TEXT,
    parity=st.floats(0, 1e9),
    references=st.integers(0, 3),
    ancestors=st.none() | st.lists(st.none() | st.integers(0, 1), max_size=3),
    seed=st.integers(0, 2**32),
)
def test_a_bundle_comes_back_equal(
    forge: Any,
    shape: list[int],
    n_examples: int,
    n_levels: Any,
    mean: float,
    std: float,
    lower: float,
    name: str,
    parity: float,
    references: int,
    ancestors: list[int | None] | None,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    manifest = forge.manifest(n_examples=n_examples, n_candidates=2 * n_examples, shape=tuple(shape))
    layout = LAYOUTS[len(shape) - 1]
    spec = replace(manifest.base.input, name=name, layout=layout)
    manifest = replace(
        manifest,
        base=replace(manifest.base, spatial_axes=spatial_axes(layout), input=spec),
        grid=InputGrid(Bounds(lower, lower + 1.0), n_levels, (mean,), (std,)),
        references=tuple(ReferenceResult(f"sha256:{i:064x}", i % (n_examples + 1)) for i in range(references)),
        copy_parity=CopyParity(parity, 0, 5),
        lineage=lineage_of(ancestors),
    )
    levels = rng.integers(0, n_levels, (n_examples, *shape)).astype(manifest.grid.dtype)
    labels = rng.integers(0, 10, n_examples)
    indices = np.sort(rng.choice(2 * n_examples, n_examples, replace=False)).astype(np.int64)
    signed = sign_fingerprint(levels, labels, indices, manifest, forge.signer)
    content = pack(signed.members())
    loaded = parse_bundle(content)
    assert loaded.manifest == manifest
    assert (loaded.levels == levels).all()
    assert (loaded.labels == labels).all()
    assert (loaded.indices == indices).all()
    assert pack(loaded.members()) == content
    assert loaded.digest == signed.digest


@settings(max_examples=200)
@example("u1", [1, 10000, 100000, 100000, 1000000, 1000000])
@given(st.sampled_from(["u1", "<u2", "<i8"]), st.lists(st.integers(1, 2**20), min_size=1, max_size=6))
def test_a_header_is_numpys_own(kind: str, shape: list[int]) -> None:
    expected = io.BytesIO()
    description = {"descr": np.dtype(kind).str, "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(expected, description)
    assert npy.header(np.dtype(kind), tuple(shape)) == expected.getvalue()
