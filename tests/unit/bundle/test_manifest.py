"""The manifest's strict reader: every field present, known, of its type, in its range, in one spelling."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from onnxfp.bundle import canonical_json
from onnxfp.bundle.manifest import AncestorResult, Lineage, Manifest
from onnxfp.errors import BundleFormatError, BundleVersionError, CodecError


def edited(manifest: Manifest, edit: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(manifest.to_json())
    edit(value)
    return canonical_json.dump(value)


def put(path: str, new: object) -> Callable[[dict[str, Any]], object]:
    def edit(value: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            value = value[parent]
        value[last] = new

    return edit


def test_a_manifest_survives_the_round_trip(forge: Any) -> None:
    manifest = forge.manifest()
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(manifest.to_json()).to_json() == manifest.to_json()


@pytest.mark.parametrize(
    ("path", "new", "complaint"),
    [
        ("created", "yesterday", "created"),
        ("created", 5, "manifest.created must be str"),
        ("public_key", "AB" * 32, "public_key"),
        ("n_examples", 0, "n_examples"),
        ("n_examples", True, "manifest.n_examples must be int"),
        ("n_examples", 9, "n_examples"),
        ("n_candidates", 2**40, "n_candidates"),
        ("base", [], "manifest.base must be an object"),
        ("base.digest", "sha1:00", "base.digest"),
        ("base.n_classes", 1, "n_classes"),
        ("base.input.shape", [], "shape"),
        ("base.input.shape", [2**20, 2**20], "shape"),
        ("base.input.shape", [3, -4, 4], "shape"),
        ("base.input.layout", "HWNC", "manifest.base.input.layout"),
        ("base.input.batch", "N", "manifest.base.input.batch"),
        ("base.input.layout", "NC", "layout names other axes"),
        ("base.input.layout", "NCL", "layout names other axes"),
        ("base.input.layout", "NDHWC", "layout names other axes"),
        ("base.input.layout", "NHWC", "spatial_axes are not those"),
        ("base.input.layout", "OTHER", "spatial_axes are not those"),
        ("base.input.shape", [48], "layout names other axes"),
        ("base.input.shape", [2, 4, 4, 3], "layout names other axes"),
        ("base.spatial_axes", [7], "spatial_axes"),
        ("base.spatial_axes", [2, 1], "spatial_axes"),
        ("base.spatial_axes", [1], "spatial_axes"),
        ("base.spatial_axes", [], "spatial_axes"),
        ("grid.n_levels", 17, "manifest.grid.n_levels"),
        ("grid.std", [0.0], "manifest.grid"),
        ("grid.mean", [0.0, 0.0], "manifest.grid"),
        ("grid.channel_axis", 5, "channel_axis"),
        ("grid.bounds.upper", -1.0, "bounds"),
        ("grid.bounds.upper", 1e308, "upper"),
        ("recipe.kind", "watermark", "kind"),
        ("recipe.noise", 2.0, "noise"),
        ("recipe.epsilon_levels", 256, "epsilon_levels"),
        ("recipe.unknown", 1, "manifest.recipe.unknown is unknown"),
        ("references", [{"digest": "sha256:" + "0" * 64, "n_matches": 99}], "matches more"),
        ("references", [{"digest": "sha256:x", "n_matches": 1}], "digest"),
        ("references", [{"digest": "sha256:" + "0" * 64, "n_matches": 1}] * 2, "twice"),
        ("versions", [["onnxfp"]], "versions"),
        ("created", "x" * 1001, "created"),
    ],
)
def test_a_bad_field_is_named(forge: Any, path: str, new: object, complaint: str) -> None:
    with pytest.raises(BundleFormatError, match=complaint) as raised:
        Manifest.from_json(edited(forge.manifest(), put(path, new)))
    assert raised.value.hint


def test_more_candidates_than_a_null_is_worth_are_refused(forge: Any) -> None:
    for n_candidates, is_good in ((20_000, True), (20_001, False)):
        text = forge.manifest(n_examples=300, n_candidates=n_candidates).to_json()
        if is_good:
            assert Manifest.from_json(text).n_candidates == n_candidates
        else:
            with pytest.raises(BundleFormatError, match="n_candidates"):
                Manifest.from_json(text)


@pytest.mark.parametrize(
    ("shape", "axes", "takes_images"),
    [
        ((3, 8, 8), (1, 2), True),
        ((224, 224, 3), (0, 1), True),
        ((3, 7, 64), (1, 2), False),
        ((12,), (), False),
        ((2, 128), (1,), False),
        ((1, 8, 16, 16), (1, 2, 3), False),
    ],
)
def test_images_are_told_from_what_no_prior_was_measured_on(
    forge: Any, shape: tuple[int, ...], axes: tuple[int, ...], takes_images: bool
) -> None:
    manifest = forge.manifest(shape=shape)
    assert replace(manifest.base, spatial_axes=axes).takes_images == takes_images


def test_a_missing_field_is_named(forge: Any) -> None:
    with pytest.raises(BundleFormatError, match=r"manifest\.recipe is missing"):
        Manifest.from_json(edited(forge.manifest(), lambda value: value.pop("recipe")))


@pytest.mark.parametrize("schema", ["onnxfp/bundle/9", 1, None])
def test_another_schema_is_another_error(forge: Any, schema: object) -> None:
    with pytest.raises(BundleVersionError, match="schema"):
        Manifest.from_json(edited(forge.manifest(), put("schema", schema)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"nonsense",
        b"\xff\xfe",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1}\n',
        b'{"a":"\\u0061"}',
        b'{"a":1.0e0}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_only_the_canonical_text_is_read(text: bytes) -> None:
    with pytest.raises(CodecError, match="canonical JSON"):
        canonical_json.load(text, "here")


def test_pink_seeds_without_axes_are_white_by_another_name(forge: Any) -> None:
    # They were never measured as pink ones, and have no part in their prior.
    manifest = forge.manifest()
    assert manifest.spectrum == "pink"
    assert replace(manifest, base=replace(manifest.base, spatial_axes=())).spectrum == "white"


ANCESTOR = AncestorResult("sha256:" + "cd" * 32, 3)


@pytest.mark.parametrize(
    "lineage",
    [
        Lineage(),
        Lineage("from scratch"),
        Lineage("declared", (ANCESTOR, AncestorResult("sha256:" + "ef" * 32, None))),
    ],
)
def test_the_lineage_comes_back(forge: Any, lineage: Lineage) -> None:
    manifest = replace(forge.manifest(), lineage=lineage)
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_schema_1_has_no_lineage(forge: Any) -> None:
    old = forge.manifest(schema="onnxfp/bundle/1")
    assert b"lineage" not in old.to_json()
    assert Manifest.from_json(old.to_json()) == old
    declared = replace(old, lineage=Lineage("from scratch"))
    with pytest.raises(BundleFormatError, match="lineage"):
        declared._check()


@pytest.mark.parametrize(
    ("lineage", "complaint"),
    [
        (Lineage("declared"), "lineage.claim contradicts lineage.ancestors"),
        (Lineage("from scratch", (ANCESTOR,)), "lineage.claim contradicts lineage.ancestors"),
        (Lineage("declared", (ANCESTOR, ANCESTOR)), "an ancestor is named twice"),
        (Lineage("declared", (AncestorResult("sha256:" + "ab" * 32, 0),)), "the base is its own ancestor"),
        (Lineage("declared", (AncestorResult("nonsense", 0),)), "an ancestor's digest is malformed"),
        (Lineage("declared", (replace(ANCESTOR, n_matches=7),)), "an ancestor matches more than all"),
    ],
)
def test_a_contradictory_lineage_is_refused(forge: Any, lineage: Lineage, complaint: str) -> None:
    with pytest.raises(BundleFormatError, match=complaint):
        Manifest.from_json(replace(forge.manifest(), lineage=lineage).to_json())
