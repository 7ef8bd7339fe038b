"""Fingerprints, and models that may get one, as tables on stdout, or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxfp.cli.render.console import make_rows, print_tables, to_row

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint
    from onnxfp.evidence.requirement import Requirement
    from onnxfp.report.parts import Signer
    from onnxfp.torch_copy.model_check import ModelCheck
    from onnxfp.torch_copy.parity import Parity


def print_fingerprint(
    fingerprint: Fingerprint, path: Path, *, as_json: bool, image: Path | None = None, signer: Signer | None = None
) -> None:
    """Print what a bundle holds.

    Args:
        fingerprint: A fingerprint that passed every check.
        path: Its file.
        as_json: Whether to print the manifest and digest as JSON instead of a table.
        image: The contact sheet that was written, if any.
        signer: What the reader knows of the key; ``None`` says nothing about it.
    """
    import onnxfp
    from onnxfp.report.facts import PLAIN, YOU, Fact, describe_fingerprint, describe_known_key, describe_null

    manifest = fingerprint.manifest
    requirement = onnxfp.find_requirement(fingerprint)
    if as_json:
        record = {"digest": fingerprint.digest, "manifest": asdict(manifest), "requirement": asdict(requirement)}
        if signer is not None:
            record["signer"] = asdict(signer)
        click.echo(json.dumps(record, sort_keys=True, indent=2))
        return
    known = "" if signer is None else describe_known_key(signer, YOU)
    good = "signature, digests and derivation are good"
    references = ", ".join(f"{r.n_matches / manifest.n_examples:.0%}" for r in manifest.references)
    facts = (
        Fact("signed by", manifest.public_key, remarks=(known, good) if known else (good,), is_code=True),
        *describe_fingerprint(fingerprint, PLAIN),
        Fact("references", references or "none"),
        describe_null(onnxfp.estimate_null(fingerprint)),
    )
    rows = [*map(to_row, facts), ("needed", _describe_requirement(requirement))]
    if image is not None:
        rows.append(("image", str(image)))
    print_tables(make_rows(str(path), rows))


def print_check(found: ModelCheck, path: Path, *, as_json: bool) -> None:
    """Print whether a model can be fingerprinted.

    Args:
        found: What was found.
        path: The model's file.
        as_json: Whether to print JSON instead of a table.
    """
    if as_json:
        click.echo(json.dumps(asdict(found), sort_keys=True, indent=2))
        return
    source, output, parity = found.input, found.output, found.parity
    batch = "any batch" if source.batch is None else f"batches of {source.batch}"
    operators = ", ".join(
        f"{use.op_type}-{use.version} x {use.n_nodes}" + ("" if use.is_supported else " MISSING")
        for use in found.operators
    )
    rows = [
        ("model", found.digest),
        ("input", f"{source.name}: {source.layout} {source.shape} {source.dtype}, {batch}"),
        ("output", f"{output.name}: {output.kind}, {output.n_classes} classes"),
        ("opsets", ", ".join(f"{domain} {number}" for domain, number in found.opsets)),
        ("operators", operators),
    ]
    if parity is not None:
        rows += [
            ("scores", _describe_parity(parity)),
            (
                "gradient",
                "the scores are too flat, on noise, to compare it"
                if found.gradient_error is None
                else f"differs from onnxruntime's finite differences by {found.gradient_error:.1%}",
            ),
            ("speed", f"{found.milliseconds:.1f} ms for a forward and backward pass of one example"),
        ]
    if found.computes_in_float32:
        rows.append(("precision", "half-precision parts are computed in float32"))
    if found.problem:
        rows.append(("problem", found.problem))
    print_tables(
        make_rows(f"{path.name}: {'cannot be fingerprinted' if found.problem else 'can be fingerprinted'}", rows)
    )


def _describe_parity(parity: Parity) -> str:
    return (
        f"differ from onnxruntime by {parity.max_abs_difference:.2g} at most, {parity.max_rel_difference:.1g} of the "
        f"largest; {parity.n_label_flips} of {parity.n_inputs} labels differ"
    )


def _describe_requirement(requirement: Requirement) -> str:
    if requirement.min_matches is None or requirement.min_rate is None:
        needed = f"no match rate is a MATCH at {requirement.alpha:g}"
    else:
        needed = (
            f"a variant needs a match rate of {requirement.min_rate:.1%} for MATCH at {requirement.alpha:g}: "
            f"{requirement.min_matches} of {requirement.n_examples}"
        )
    return "\n".join(filter(None, (needed, requirement.obstacle, *requirement.remedies)))
