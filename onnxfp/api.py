"""The calls: generate, load, verify, attest and check. Each composes the stages; the stages do the work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

import onnxfp
from onnxfp.base.contract import channel_axis, spatial_axes
from onnxfp.base.device import Device, choose_device
from onnxfp.base.isolation import Limits
from onnxfp.base.onnx_file import OnnxFile, read_onnx
from onnxfp.base.runtime import Provider
from onnxfp.base.session import ModelSession, as_written
from onnxfp.bundle.checked import check_bundle
from onnxfp.bundle.checkpoint import Checkpoint
from onnxfp.bundle.commitment import Commitment
from onnxfp.bundle.fingerprint import Fingerprint, sign_fingerprint
from onnxfp.bundle.keys import Passphrase, default_key_path, generate_key_pair, load_signer
from onnxfp.bundle.keys import signer_public_key as public_key_of
from onnxfp.bundle.manifest import SCHEMA, BaseModel, CopyParity, Manifest, ReferenceResult
from onnxfp.bundle.signing import check_pinned
from onnxfp.bundle.trust_store import find_public_key, name_of
from onnxfp.errors import ContractError, FileError, ParameterError
from onnxfp.evidence.attestation import ATTESTATION, Attestation, read_attestation, sign_report
from onnxfp.evidence.checks import describe_checks, describe_untested
from onnxfp.evidence.null import ReferenceCount, estimate_null, find_prior
from onnxfp.evidence.power import Power, measure_power, power_of
from onnxfp.evidence.report import BundleRecord, Report, Signer, SuspectRecord
from onnxfp.evidence.statistics import clopper_pearson, count_matches
from onnxfp.evidence.verdict import Counts, Policy, decide
from onnxfp.examples.defaults import Choices, choose_n_examples, choose_recipe
from onnxfp.examples.derivation import DerivationContext, derive_seeds
from onnxfp.priority import check_priority
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.types import Bounds, InputGrid, Labels, Levels

if TYPE_CHECKING:
    import torch
    from securesystemslib.signer import CryptoSigner

    from onnxfp.base.model_check import ModelCheck
    from onnxfp.examples.crafted import Progress

Models = Iterable[str | Path]

DEFAULT_LIMITS = Limits()
"""Models come from strangers: unless told otherwise, each is open in a process of its own, with these limits."""

N_PROBES = 32
"""Derived seeds on which the torch copy is compared with onnxruntime before anything is crafted."""

# Candidates at once where the graph itself fixes how many go through it.
_FIXED_BATCH = 32
# Fewer large images than this leave a GPU idle.
_LEAST_ON_A_GPU = 64

_PACKAGES = ("onnxfp", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "torch")

_log = logging.getLogger(__name__)


def generate(
    model: str | Path,
    *,
    output: str | Path | None = None,
    n_examples: int | None = None,
    choices: Choices | None = None,
    grid: InputGrid | None = None,
    input_name: str | None = None,
    input_shape: Sequence[int] | None = None,
    output_name: str | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    references: Models = (),
    device: Device = "auto",
    key: str | Path | None = None,
    passphrase: Passphrase | None = None,
    limits: Limits | None = DEFAULT_LIMITS,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Fingerprint:
    """Make the fingerprint of a model.

    Args:
        model: The owner's ONNX file.
        output: Where to write the bundle; ``None`` returns it only. With a path, an interrupted run goes on where it
            stopped when it is called again.
        n_examples: Number of examples n, at least 1; ``None`` leaves it to the number of classes.
        choices: Kind and hyper-parameters; what is left out suits the model.
        grid: Bounds and normalisation of the input; by default an image in [0, 1], or [0, 255] for byte inputs.
        input_name: Graph input that examples go to, if there are several.
        input_shape: Shape of one example, where the graph leaves axes open.
        output_name: Graph output with the classification, if there are several.
        fixed: Values for the other graph inputs, one number or as many as the input holds.
        references: Unassociated models (files or folders) whose match counts are recorded in the bundle.
        device: Where gradients are computed.
        key: Private key file; ``None`` takes the user's default key, and makes it on first use.
        passphrase: Asked for the passphrase of an encrypted key.
        limits: What each model may take in a process of its own; ``None`` opens them in this one.
        on_progress: Called after every gradient step.

    Returns:
        The signed fingerprint.

    Raises:
        OnnxfpError: Of the class that fits; see :mod:`onnxfp.errors`.
    """
    if n_examples is not None and n_examples < 1:
        raise ParameterError(f"the number of examples must be at least 1; found {n_examples}")
    torch_device = choose_device(device)
    from onnxfp.examples.generation import craft_examples
    from onnxfp.examples.sources import CopySource, QuerySource

    provider: Provider = "auto" if torch_device.type == "cuda" else "cpu"
    file = read_onnx(model)
    session = ModelSession(
        file,
        provider=provider,
        input_name=input_name,
        input_shape=input_shape,
        output_name=output_name,
        fixed=fixed,
        limits=limits,
    )
    base = _base_model(session)
    grid = _grid_of(session, grid)
    n_examples = n_examples or choose_n_examples(base.n_classes)
    recipe = choose_recipe(choices or Choices(), grid, base.input.shape, base.spatial_axes, base.n_classes)
    signer = open_signer(key, passphrase)
    context = DerivationContext(
        public_key_of(signer), file.digest, base.input.shape, base.spatial_axes, base.n_classes, grid, recipe
    )
    pool = _open_pool(references, base, provider, limits)

    # As Manifest.spectrum and Manifest.epsilon_share will say it.
    spectrum = recipe.spectrum if base.spatial_axes else "white"
    prior = find_prior(recipe.kind, spectrum, recipe.epsilon_levels / (grid.n_levels - 1), base.n_classes)
    expected = measure_power(
        (), prior, Policy(), n_classes=base.n_classes, n_examples=n_examples, n_candidates=n_examples
    )
    _warn_of_power(expected)

    probes = grid.to_model_input(derive_seeds(context, range(N_PROBES)))
    from_copy = recipe.gradient == "copy"
    source = CopySource(session, as_written(session), probes, torch_device) if from_copy else QuerySource(session)

    def rescore(levels: Levels) -> Labels:
        return session.answer(grid.to_model_input(levels)).labels

    checkpoint = Checkpoint.beside(Path(output), context) if output is not None else None
    start = checkpoint.load() if checkpoint else None
    crafted = start
    with checkpoint or nullcontext():
        for crafted in craft_examples(
            context,
            source.gradient(context, gives_probabilities=session.gives_probabilities(probes)),
            rescore,
            n_examples=n_examples,
            batch_size=_candidates_at_once(session, source.device),
            device=source.device,
            start=start,
            on_progress=on_progress,
        ):
            if checkpoint:
                checkpoint.keep(crafted)
    assert crafted is not None  # noqa: S101 - craft_examples raises rather than yield nothing
    parity = source.parity(map(grid.to_model_input, _batches(crafted.levels, session.batch_size)))
    manifest = Manifest(
        schema=SCHEMA,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        public_key=context.public_key,
        base=base,
        grid=grid,
        recipe=recipe,
        n_examples=n_examples,
        n_candidates=crafted.n_candidates,
        references=tuple(
            ReferenceResult(r.digest, r.n_matches)
            for r in _measure_pool(pool, crafted.levels, crafted.labels, base, grid)
        ),
        copy_parity=None
        if parity is None
        else CopyParity(parity.max_abs_difference, parity.n_label_flips, parity.n_inputs),
        versions=versions(),
    )
    fingerprint = sign_fingerprint(crafted.levels, crafted.labels, crafted.indices, manifest, signer)
    if output is not None:
        fingerprint.save(output)
    if checkpoint:
        checkpoint.remove()
    if not expected.obstacle:
        # Candidates that were lost and references that match often may have cost what was enough before.
        _warn_of_power(power_of(manifest, Policy()))
    return fingerprint


def load(path: str | Path, *, public_key: str | Path | None = None) -> Fingerprint:
    """Read a bundle and check everything about it that can be checked without a suspect.

    Args:
        path: The bundle file.
        public_key: The owner's public key that must have signed it: 64 hexadecimal digits, a PEM file, or a name in the
            trust store.

    Raises:
        FileError: The file cannot be read.
        BundleError: It is not a well-formed bundle.
        TrustError: Signature, key, digests or derivation are not what they claim to be.
    """
    return check_bundle(path, None if public_key is None else find_public_key(public_key)).fingerprint


def verify(
    suspect: str | Path,
    fingerprint: str | Path | Fingerprint,
    *,
    public_key: str | Path | None = None,
    references: Models = (),
    policy: Policy | None = None,
    provider: Provider = "auto",
    grid: InputGrid | None = None,
    input_name: str | None = None,
    input_shape: Sequence[int] | None = None,
    output_name: str | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    commitment: str | Path | Commitment | None = None,
    opening: str | Path | None = None,
    timestamp: str | Path | None = None,
    tsa_certificate: str | Path | None = None,
    limits: Limits | None = DEFAULT_LIMITS,
) -> Report:
    """Ask a suspect the examples of a fingerprint and give a verdict.

    Args:
        suspect: The suspect's ONNX file.
        fingerprint: The bundle file, or what :func:`load` returned; either is checked as :func:`load` does.
        public_key: The owner's public key that must have signed the bundle, as :func:`load` takes it; ``None`` accepts
            any and says so.
        references: The verifier's own unassociated models (files or folders).
        policy: What a verdict demands.
        provider: Where onnxruntime runs.
        grid: Bounds and normalisation of the suspect's input, where they differ from the base's.
        input_name: The suspect's graph input, if there are several.
        input_shape: Shape of one example, where its graph leaves axes open.
        output_name: Its graph output with the classification, if there are several.
        fixed: Values for its other graph inputs.
        commitment: The value that was published, or the opening of a commitment (its file, or what
            :func:`onnxfp.commit` returned), which must be one to this bundle.
        opening: The opening file of the value; ``None`` looks beside the bundle file.
        timestamp: A time-stamp (``.tsr`` file) of the bundle or of the commitment.
        tsa_certificate: The certificates of the authority that must have stamped (PEM), with their root.
        limits: What each model may take in a process of its own; ``None`` opens them in this one.

    Returns:
        The record of the verification.

    Raises:
        OnnxfpError: Of the class that fits; a negative verdict is no error.
    """
    policy = policy or Policy()
    checked = check_bundle(fingerprint, None if public_key is None else find_public_key(public_key))
    path = None if isinstance(fingerprint, Fingerprint) else Path(fingerprint)
    fingerprint, manifest = checked.fingerprint, checked.fingerprint.manifest
    committed, stamped = check_priority(
        fingerprint.digest,
        path,
        commitment=commitment,
        opening=opening,
        timestamp=timestamp,
        tsa_certificate=tsa_certificate,
    )
    base = manifest.base
    session = ModelSession(
        read_onnx(suspect),
        provider=provider,
        input_name=input_name,
        input_shape=input_shape,
        output_name=output_name,
        fixed=fixed,
        n_classes=base.n_classes,
        limits=limits,
    )
    answers = OnnxSuspect(session, base.input, manifest.grid, grid).answer(fingerprint.levels)
    counts = Counts(
        n_matches=count_matches(fingerprint.labels, answers.labels),
        n_answered=int((answers.labels >= 0).sum()),
        n_asked=fingerprint.n_examples,
        n_candidates=manifest.n_candidates,
    )
    owner = tuple(ReferenceCount(r.digest, r.n_matches, manifest.n_examples) for r in manifest.references)
    pool = _open_pool(references, base, provider, limits)
    own = tuple(_measure_pool(pool, fingerprint.levels, fingerprint.labels, base, manifest.grid))
    prior = find_prior(manifest.recipe.kind, manifest.spectrum, manifest.epsilon_share, base.n_classes)
    null = estimate_null(owner, own, prior, n_classes=base.n_classes, n_candidates=manifest.n_candidates)
    rates = [reference.rate for reference in (*owner, *own)]
    match_rate = counts.n_matches / counts.n_asked
    transferability = sum(rates) / len(rates) if rates else None
    return Report(
        signer=Signer(manifest.public_key, public_key is not None, name_of(manifest.public_key)),
        bundle=BundleRecord.of(fingerprint),
        suspect=SuspectRecord(
            session.model.digest, session.providers, session.holds, session.input.name, session.output.name
        ),
        counts=counts,
        match_rate=match_rate,
        interval=clopper_pearson(counts.n_matches, counts.n_asked, policy.confidence),
        owner_references=owner,
        verifier_references=own,
        transferability=transferability,
        worst_transferability=max(rates) if rates else None,
        margin=None if transferability is None else match_rate - transferability,
        null=null.summarise(counts.n_matches),
        policy=policy,
        decision=decide(counts, null, len(own), policy),
        commitment=committed,
        timestamp=stamped,
        checks=describe_checks(checked, is_pinned=public_key is not None, commitment=committed, timestamp=stamped),
        not_tested=describe_untested(
            commitment=committed, timestamp=stamped, asked_base=session.model.digest == base.digest
        ),
        versions=versions(),
    )


def attest(
    report: Report,
    *,
    key: str | Path | CryptoSigner | None = None,
    passphrase: Passphrase | None = None,
    suspect: str | Path = "",
    fingerprint: str | Path = "",
) -> bytes:
    """Sign a report, so that it can be shown to others.

    Args:
        report: What :func:`verify` returned.
        key: The auditor's private key file, or what :func:`open_signer` returned; ``None`` takes the user's default
            key, and makes it on first use.
        passphrase: Asked for the passphrase of an encrypted key.
        suspect: The suspect's file, whose name goes into the attestation; its digest comes from the report.
        fingerprint: The bundle file, whose name does too.

    Returns:
        The attestation file's bytes: a DSSE envelope over an in-toto Statement, canonical JSON.

    Raises:
        KeyFileError: The key cannot be opened.
        ParameterError: The report is one that no reader would accept.
    """
    signer = open_signer(key, passphrase) if key is None or isinstance(key, str | Path) else key
    return sign_report(report, signer, Path(suspect).name, Path(fingerprint).name)


def load_attestation(path: str | Path, *, public_key: str | Path | None = None) -> Attestation:
    """Read an attestation and check its signature, and that it is about what its report is about.

    Args:
        path: The attestation file.
        public_key: The auditor's public key that must have signed it, as :func:`load` takes an owner's; ``None``
            accepts any.

    Raises:
        FileError: The file cannot be read.
        ReportError: It is not a well-formed attestation.
        TrustError: Signature, key or subjects are not what they claim to be.
    """
    attestation = read_attestation(path)
    if public_key is not None:
        check_pinned(attestation.public_key, find_public_key(public_key), ATTESTATION)
    return attestation


def check(
    model: str | Path,
    *,
    grid: InputGrid | None = None,
    input_name: str | None = None,
    input_shape: Sequence[int] | None = None,
    output_name: str | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    limits: Limits | None = DEFAULT_LIMITS,
) -> ModelCheck:
    """Look whether a model can be fingerprinted: contract, operators, the copy's scores and gradient, speed.

    Args:
        model: The ONNX file.
        grid: Bounds and normalisation of the input; by default an image in [0, 1], or [0, 255] for byte inputs.
        input_name: Graph input that examples go to, if there are several.
        input_shape: Shape of one example, where the graph leaves axes open.
        output_name: Graph output with the classification, if there are several.
        fixed: Values for the other graph inputs.
        limits: What the model may take in a process of its own; ``None`` opens it in this one.

    Raises:
        OnnxfpError: The file is no classifier, or the copy disagrees with onnxruntime.
    """
    choose_device("cpu")
    from onnxfp.base.model_check import check_model

    file = read_onnx(model)
    session = ModelSession(
        file,
        provider="cpu",
        input_name=input_name,
        input_shape=input_shape,
        output_name=output_name,
        fixed=fixed,
        limits=limits,
    )
    _base_model(session)
    grid = _grid_of(session, grid)
    draw = np.random.default_rng(0).integers(0, grid.n_levels, (8, *session.input.shape))
    levels = draw.astype(np.uint8) if grid.n_levels == 256 else draw.astype(np.uint16)
    return check_model(file, as_written(session), grid.to_model_input(levels))


def _grid_of(session: ModelSession, grid: InputGrid | None) -> InputGrid:
    """Return the owner's grid, along the axis where this model has its channels, or the default."""
    if grid is None:
        return default_grid(session)
    return replace(grid, channel_axis=channel_axis(session.input.layout))


def default_grid(session: ModelSession) -> InputGrid:
    """Return the grid of a model whose owner says nothing about its input.

    Raises:
        ParameterError: The input is no image, and so has no natural range.
    """
    spec = session.input
    if spec.layout not in ("NCHW", "NHWC"):
        raise ParameterError(
            f"{session.model.path}: input {spec.name!r} of shape {spec.shape} is no image, and has no natural range",
            hint="give the range of its values, for example --bounds -3 3",
        )
    upper = 255.0 if spec.dtype == "uint8" else 1.0
    return InputGrid(Bounds(0.0, upper), channel_axis=channel_axis(spec.layout))


def _base_model(session: ModelSession) -> BaseModel:
    n_classes = session.output.n_classes
    if n_classes is None:
        raise ContractError(
            f"{session.model.path}: output {session.output.name!r} holds labels; scores are needed to craft examples",
            hint="export the model with its logits or probabilities as an output",
        )
    for name in (session.input.name, session.output.name):
        if not name.isprintable():
            raise ContractError(
                f"{session.model.path}: the name {name!r} holds characters that cannot be printed, nor signed",
                hint="export the model with plain names for its input and output",
            )
    return BaseModel(session.model.digest, n_classes, session.input, session.output, spatial_axes(session.input.layout))


def open_signer(key: str | Path | None = None, passphrase: Passphrase | None = None) -> CryptoSigner:
    """Return the signer for a private key.

    Args:
        key: The private key file; ``None`` takes the user's default key, and makes it on first use.
        passphrase: Asked for the passphrase of an encrypted key.

    Raises:
        KeyFileError: The file is missing, holds no Ed25519 private key, or the passphrase is wrong.
        ParameterError: The key is encrypted, and there is no passphrase.
    """
    path = default_key_path() if key is None else Path(key)
    if key is None and not path.exists():
        generate_key_pair(path)
        _log.warning("made your default key pair: %s (keep it: it proves that your fingerprints are yours)", path)
    return load_signer(path, passphrase or _no_passphrase)


def _warn_of_power(power: Power) -> None:
    if power.obstacle:
        _log.warning("%s", " ".join((power.obstacle, *power.remedies)))


def _no_passphrase(path: Path) -> bytes:
    raise ParameterError(f"the private key {path} is encrypted, and no passphrase was given")


def model_files(models: Models) -> list[OnnxFile]:
    """Return the models of files and folders, each content once.

    Raises:
        FileError: A file cannot be read, or a folder holds none.
        ModelError: One is no safe ONNX model.
    """
    files: dict[str, OnnxFile] = {}
    for model in map(Path, models):
        try:
            paths = sorted(model.glob("*.onnx")) if model.is_dir() else [model]
        except OSError as error:
            raise FileError(f"{model} cannot be read: {error.strerror}", hint="check its permissions") from error
        if not paths:
            raise FileError(f"the folder {model} holds no .onnx file", hint="give a folder of unassociated models")
        for file in map(read_onnx, paths):
            files.setdefault(file.digest, file)
    return list(files.values())


def _open_pool(models: Models, base: BaseModel, provider: Provider, limits: Limits | None) -> list[ModelSession]:
    """Open the references, so that one that does not fit is found before the long work and not after it."""
    pool = []
    for file in model_files(models):
        if file.digest == base.digest:
            raise ParameterError(
                f"{file.path} is the base model itself; a reference must owe nothing to it",
                hint="remove it from the references",
            )
        pool.append(ModelSession(file, provider=provider, n_classes=base.n_classes, limits=limits))
    return pool


def _measure_pool(
    pool: list[ModelSession], levels: Levels, labels: Labels, base: BaseModel, grid: InputGrid
) -> Iterable[ReferenceCount]:
    for session in pool:
        answers = OnnxSuspect(session, base.input, grid).answer(levels)
        yield ReferenceCount(session.model.digest, count_matches(labels, answers.labels), len(labels))


def _candidates_at_once(session: ModelSession, device: torch.device) -> int:
    """Return how many candidates share their draws of weight noise, in passes of whatever size memory holds."""
    if session.input.batch is not None:
        return _FIXED_BATCH
    return session.batch_size if device.type == "cpu" else max(session.batch_size, _LEAST_ON_A_GPU)


def _batches(levels: Levels, size: int) -> Iterable[Levels]:
    return (levels[first : first + size] for first in range(0, len(levels), size))


def versions() -> tuple[tuple[str, str], ...]:
    """Return name and version of the packages that results depend on, as installed."""
    found = [("onnxfp", onnxfp.__version__)]
    for package in _PACKAGES[1:]:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)
