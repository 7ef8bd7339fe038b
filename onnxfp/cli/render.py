"""Reports and fingerprints as tables on stdout, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint
    from onnxfp.evidence.null import NullRate
    from onnxfp.evidence.requirement import Requirement
    from onnxfp.report.attestation import Attestation
    from onnxfp.report.verification import Report, Signer, SuspectRecord
    from onnxfp.torch_copy.model_check import ModelCheck
    from onnxfp.torch_copy.parity import Parity

_COLOURS = {"MATCH": "red", "NO_MATCH": "green", "INCONCLUSIVE": "yellow"}
_WIDTH = 100


class Attested(NamedTuple):
    """What an attestation adds to the table of its report.

    Attributes:
        by: Who attests it.
        whose: Whose fingerprint it was, to the auditor and to the reader.
    """

    by: str
    whose: str


def print_report(report: Report, suspect: Path, *, as_json: bool, attested: Attested | None = None) -> None:
    """Print the outcome of a verification.

    Args:
        report: The outcome.
        suspect: Name of the suspect's file, which the report itself does not hold.
        as_json: Whether to print the versioned record instead of the table.
        attested: Who says so, where it is not the reader's own verification.
    """
    if as_json:
        click.echo(report.to_json())
        return
    counts, decision, null = report.counts, report.decision, report.null
    whose = _describe_signer(report.signer) or "NOT PINNED: use --public-key to demand the owner's"
    verifier, rows = "yours", []
    if attested is not None:
        whose, verifier, rows = attested.whose, "the auditor", [("attested by", attested.by)]
    references = f"{len(report.owner_references)} of the owner, {len(report.verifier_references)} of {verifier}"
    if report.transferability is not None:
        references += (
            f"; match rate {report.transferability:.1%} on average, {report.worst_transferability:.1%} at worst"
        )
    selected = "" if counts.n_candidates == counts.n_asked else f" (of {counts.n_candidates} candidates)"
    needed = "no count suffices" if decision.min_matches is None else f"{decision.min_matches} needed for MATCH"
    _print_table(
        f"{suspect.name}: {decision.verdict.value}",
        (
            *rows,
            ("signed by", f"{report.signer.public_key}\n{whose}"),
            ("suspect", report.suspect.digest),
            ("base", report.bundle.base_digest),
            ("fingerprint", f"{report.bundle.digest}\nkind {report.bundle.kind}, created {report.bundle.created}"),
            ("ran on", _describe_run(report.suspect)),
            ("examples", f"{counts.n_asked} asked{selected}, {counts.n_answered} answered"),
            ("matches", f"{counts.n_matches}, {needed}"),
            (
                "match rate",
                (
                    f"{report.match_rate:.1%}, {report.policy.confidence:.0%} interval "
                    f"{report.interval.lower:.1%} to {report.interval.upper:.1%}"
                ),
            ),
            ("references", references),
            ("margin", "unknown without references" if report.margin is None else f"{report.margin:+.1%}"),
            ("null", _describe_null(null)),
            ("p-value", f"{decision.p_value:.2g}, significance {report.policy.alpha:g}"),
            ("top k", _describe_top_k(report)),
            *_describe_timestamping(report),
        ),
    )
    click.secho(decision.verdict.value, fg=_COLOURS[decision.verdict.value], bold=True)
    for reason in decision.reasons:
        click.echo(reason)


def print_attestation(attestation: Attestation, auditor: Signer, owner_name: str | None, *, as_json: bool) -> None:
    """Print who attests which verification.

    Args:
        attestation: An attestation that passed every check.
        auditor: What the reader knows of the auditor's key.
        owner_name: The reader's own name for the key that signed the fingerprint, if there is one.
        as_json: Whether to print JSON instead of the table.
    """
    report = attestation.report
    if as_json:
        names = {"suspect_name": attestation.suspect_name, "bundle_name": attestation.bundle_name}
        record = {"auditor": asdict(auditor), "report": report.to_dict(), **names}
        click.echo(json.dumps(record, sort_keys=True, indent=2))
        return
    known = _describe_signer(auditor) or "NOT PINNED: use --public-key to demand the auditor's"
    by = f"{auditor.public_key}\n{known}\nsignature is good; the suspect was not asked again"
    # The report holds what the auditor knew; the reader's own word for the key comes first, and apart.
    theirs = [f"{report.signer.name} (in the auditor's trust store)"] if report.signer.name else []
    theirs += ["the key the auditor demanded"] * report.signer.is_pinned
    ours = f"{owner_name} (in your trust store)\n" if owner_name else ""
    whose = ours + ("; ".join(theirs) or "NOT PINNED by the auditor")
    print_report(report, Path(attestation.suspect_name), as_json=False, attested=Attested(by, whose))


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

    manifest = fingerprint.manifest
    power = onnxfp.find_requirement(fingerprint)
    if as_json:
        record = {"digest": fingerprint.digest, "manifest": asdict(manifest), "power": asdict(power)}
        if signer is not None:
            record["signer"] = asdict(signer)
        click.echo(json.dumps(record, sort_keys=True, indent=2))
        return
    base, recipe, grid = manifest.base, manifest.recipe, manifest.grid
    step = (grid.bounds.upper - grid.bounds.lower) / (grid.n_levels - 1)
    noise = f", weight noise {recipe.noise:g} x {recipe.n_draws}" if recipe.noise else ""
    cutoff = f", lowest {recipe.cutoff} frequencies removed from the {recipe.filtered}" if recipe.cutoff else ""
    parity = manifest.copy_parity
    gradients = (
        "estimated by queries"
        if parity is None
        else f"of a torch copy that differs from onnxruntime by {parity.max_abs_difference:.2g} at most; "
        f"{parity.n_label_flips} of {parity.n_inputs} labels differ"
    )
    facts = (manifest.public_key, _describe_signer(signer), "signature, digests and derivation are good")
    rows: list[tuple[str, str]] = [
        ("signed by", "\n".join(filter(None, facts))),
        ("bundle", fingerprint.digest),
        ("base", f"{base.digest}\n{base.input.layout} {base.input.shape} {base.input.dtype}, {base.n_classes} classes"),
        ("created", f"{manifest.created} (the signer's claim)"),
        ("examples", f"{manifest.n_examples} of {manifest.n_candidates} candidates, seed {recipe.seed}"),
        ("recipe", (f"{recipe.kind}, {recipe.spectrum} seeds, epsilon {recipe.epsilon_levels * step:.4g}, "
                   f"{recipe.n_steps} steps of {recipe.step_size:.4g}{noise}{cutoff}")),
        ("gradients", gradients),
        ("references", ", ".join(f"{r.n_matches / manifest.n_examples:.0%}" for r in manifest.references) or "none"),
        ("null", _describe_null(onnxfp.estimate_null(fingerprint))),
        ("power", _describe_requirement(power)),
    ]  # fmt: skip
    if image is not None:
        rows.append(("image", str(image)))
    _print_table(str(path), rows)


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
    _print_table(f"{path.name}: {'cannot be fingerprinted' if found.problem else 'can be fingerprinted'}", rows)


def _describe_timestamping(report: Report) -> list[tuple[str, str]]:
    rows, commitment, timestamp = [], report.commitment, report.timestamp
    if commitment is not None:
        is_dated = timestamp is not None and timestamp.subject == "commitment"
        known = "time-stamped" if is_dated else "NOT COMPARED with a published value"
        known = "the published value" if commitment.is_demanded else known
        rows.append(("commitment", f"{commitment.value}\nopens to this bundle; {known}"))
    if timestamp is not None:
        said = f"the {timestamp.subject} existed before {timestamp.existed_before}"
        rows.append(("time-stamp", f"{said}\nby {timestamp.authority}"))
    return rows


def _describe_signer(signer: Signer | None) -> str:
    if signer is None:
        return ""
    known = [f"{signer.name} (in your trust store)"] if signer.name else []
    return "; ".join(known + ["the key you demanded"] * signer.is_pinned)


def _describe_parity(parity: Parity) -> str:
    return (
        f"differ from onnxruntime by {parity.max_abs_difference:.2g} at most, {parity.max_rel_difference:.1g} of the "
        f"largest; {parity.n_label_flips} of {parity.n_inputs} labels differ"
    )


def _describe_run(suspect: SuspectRecord) -> str:
    if suspect.is_recorded:
        return "not here: the verifier asked, and recorded the responses"
    where = ", ".join(provider.removesuffix("ExecutionProvider") for provider in suspect.providers)
    words = {"process": "in a process of its own", "memory": "limited memory", "time": "limited time",
             "network": "no network"}  # fmt: skip
    return ", ".join([where, *(text for word, text in words.items() if word in suspect.isolation)])


def _describe_null(null: NullRate) -> str:
    return f"an unassociated model matches {null.rate:.1%}, one in a hundred {null.upper:.0%}\n{null.source}"


def _describe_top_k(report: Report) -> str:
    if report.median_rank is None:
        return "none: the suspect gives labels only"
    grades = [f"top {grade.k}: {grade.rate:.1%}, p {grade.p_value:.2g}" for grade in report.top_k]
    ranks = f"median rank {report.median_rank:g} of {report.bundle.n_classes}"
    return f"{'; '.join([*grades, ranks])}\nno part of the verdict"


def _describe_requirement(power: Requirement) -> str:
    if power.min_matches is None or power.min_rate is None:
        needed = f"no match rate is a MATCH at {power.alpha:g}"
    else:
        needed = (
            f"a variant needs a match rate of {power.min_rate:.1%} for MATCH at {power.alpha:g}: "
            f"{power.min_matches} of {power.n_examples}"
        )
    return "\n".join(filter(None, (needed, power.obstacle, *power.remedies)))


def _print_table(title: str, rows: Iterable[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    # A fixed width where no terminal says otherwise, so that output in files and tests is the same everywhere.
    console = Console(highlight=False, markup=False)
    console = console if console.is_terminal else Console(highlight=False, markup=False, width=_WIDTH)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())
