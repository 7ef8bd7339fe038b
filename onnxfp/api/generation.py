"""What the owner calls: generate and check."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from onnxfp.api.base_model import base_model, choose_grid
from onnxfp.api.references import measure_pool
from onnxfp.bundle.fingerprint import Fingerprint, sign_fingerprint
from onnxfp.bundle.manifest import SCHEMA, BaseModel, CopyParity, Manifest, ReferenceResult
from onnxfp.crafting.checkpoint import Checkpoint
from onnxfp.errors import FileError, ParameterError
from onnxfp.evidence.null import Prior, find_prior
from onnxfp.evidence.requirement import Requirement, compute_requirement, find_requirement
from onnxfp.evidence.verdict import Policy
from onnxfp.limits import MAX_EXAMPLES
from onnxfp.model.linearity import is_linear
from onnxfp.model.onnx_file import read_onnx
from onnxfp.recipe.defaults import RecipeOverrides, choose_n_examples, choose_recipe
from onnxfp.recipe.derivation import DerivationContext, derive_seeds
from onnxfp.recipe.recipe import Gradient
from onnxfp.runtime.isolated import Limits
from onnxfp.runtime.local import Provider
from onnxfp.runtime.session import ModelSession, open_unoptimised
from onnxfp.suspects.references import DEFAULT_LIMITS, Models, open_pool
from onnxfp.torch_copy.device import Device, choose_device
from onnxfp.trust.keys import Passphrase, open_signer
from onnxfp.trust.keys import signer_public_key as signer_public_key
from onnxfp.types import InputGrid, Labels, Levels
from onnxfp.versions import versions

if TYPE_CHECKING:
    from onnxfp.crafting.state import Progress
    from onnxfp.torch_copy.model_check import ModelCheck

N_PROBES = 32
"""Derived seeds on which the torch copy is compared with onnxruntime before anything is crafted."""

# Candidates at once where the graph itself fixes how many go through it.
_FIXED_BATCH = 32
# Fewer large images than this leave a GPU idle.
_MIN_ON_A_GPU = 64

_log = logging.getLogger(__name__)


def generate(
    model: str | Path,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    n_examples: int | None = None,
    overrides: RecipeOverrides | None = None,
    grid: InputGrid | None = None,
    input_name: str | None = None,
    input_shape: Sequence[int] | None = None,
    output_name: str | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    references: Models = (),
    avoid: Models = (),
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
        overwrite: Whether a bundle that is there may be replaced. It cannot be made again to the byte, and a commitment
            to it, or its time-stamp, would be lost with it.
        n_examples: Number of examples n, at least 1; ``None`` leaves it to the number of classes.
        overrides: Kind and hyper-parameters; what is left out suits the model.
        grid: Bounds and normalisation of the input; by default an image in [0, 1], or [0, 255] for byte inputs.
        input_name: Graph input that examples go to, if there are several.
        input_shape: Shape of one example, where the graph leaves axes open.
        output_name: Graph output with the classification, if there are several.
        fixed: Values for the other graph inputs, one number or as many as the input holds.
        references: Unassociated models (files or folders) whose match counts are recorded in the bundle.
        avoid: Other unassociated models (files or folders) that the examples are kept from matching. They must take the
            base's own input. Nothing of them is recorded, since what an owner avoided says nothing of others.
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
    if n_examples is not None and not 1 <= n_examples <= MAX_EXAMPLES:
        raise ParameterError(f"the number of examples lies between 1 and {MAX_EXAMPLES}; found {n_examples}")
    if output is not None:
        _check_place(Path(output), overwrite=overwrite)
    torch_device = choose_device(device)
    from onnxfp.crafting.loop import craft_examples
    from onnxfp.crafting.sources import CopySource, QuerySource

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
    base = base_model(session)
    grid = choose_grid(session, grid)
    n_examples = n_examples or choose_n_examples(base.n_classes)
    recipe = choose_recipe(overrides or RecipeOverrides(), grid, base.input.shape, base.spatial_axes, base.n_classes)
    signer = open_signer(key, passphrase)
    context = DerivationContext(
        signer_public_key(signer), file.digest, base.input.shape, base.spatial_axes, base.n_classes, grid, recipe
    )
    pool = open_pool(references, base, provider, limits, fixed)
    avoided = open_pool(avoid, base, provider, limits, fixed)
    _check_avoided(avoided, base, pool, recipe.gradient)

    # As Manifest.spectrum and Manifest.epsilon_share will say it.
    spectrum = recipe.spectrum if base.spatial_axes else "white"
    epsilon, base_is_linear = recipe.epsilon_levels / (grid.n_levels - 1), is_linear(file.proto)
    prior = find_prior(
        recipe.kind, spectrum, epsilon, base.n_classes, is_image=base.takes_images, is_linear=base_is_linear
    )
    expected = compute_requirement(
        (), prior, Policy(), n_classes=base.n_classes, n_examples=n_examples, n_candidates=n_examples
    )
    _warn_of_requirement(expected, prior)

    probes = grid.to_model_input(derive_seeds(context, range(N_PROBES)))
    from_copy = recipe.gradient == "copy"
    source = (
        CopySource(session, open_unoptimised(session), probes, torch_device, avoided)
        if from_copy
        else QuerySource(session)
    )

    if isinstance(source, CopySource) and recipe.noise and not source.has_weights:
        _log.warning("%s keeps no weights where noise could reach them: its examples are made without", file.path)
        recipe = replace(recipe, noise=0.0)
        context = replace(context, recipe=recipe)

    def rescore(levels: Levels) -> Labels:
        return session.answer(grid.to_model_input(levels)).labels

    avoided_digests = tuple(sorted(model.model.digest for model in avoided))
    checkpoint = Checkpoint.beside(Path(output), context, avoided_digests) if output is not None else None
    crafted = None
    with checkpoint or nullcontext():
        for crafted in craft_examples(
            context,
            source.gradient(context, gives_probabilities=session.gives_probabilities(probes)),
            rescore,
            n_examples=n_examples,
            batch_size=_candidates_at_once(session, is_on_gpu=source.device.type != "cpu"),
            device=source.device,
            start=checkpoint.load() if checkpoint else None,
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
            ReferenceResult(measured.count.digest, measured.count.n_matches)
            for measured in measure_pool(pool, crafted.levels, crafted.labels, base, grid)
        ),
        copy_parity=None
        if parity is None
        else CopyParity(parity.max_abs_difference, parity.n_label_flips, parity.n_inputs),
        versions=versions(),
    )
    fingerprint = sign_fingerprint(crafted.levels, crafted.labels, crafted.indices, manifest, signer)
    if output is not None and checkpoint:
        # The file may have come in the meantime; then nothing that was crafted may be lost.
        with checkpoint:
            fingerprint.save(output, overwrite=overwrite)
        checkpoint.remove()
    found = find_requirement(manifest, Policy(), is_linear=base_is_linear)
    if found.obstacle and (not expected.obstacle or found.remedies != expected.remedies):
        # Candidates that were lost and references that match often cost what was enough before.
        _warn_of_requirement(found, prior)
    return fingerprint


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
    from onnxfp.torch_copy.model_check import check_model

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
    base_model(session)
    grid = choose_grid(session, grid)
    draw = np.random.default_rng(0).integers(0, grid.n_levels, (8, *session.input.shape))
    levels = draw.astype(np.uint8) if grid.n_levels == 256 else draw.astype(np.uint16)
    return check_model(file, open_unoptimised(session), grid.to_model_input(levels))


def _check_place(output: Path, *, overwrite: bool) -> None:
    """Look, before the long work, whether what is there may be replaced by the bundle.

    Raises:
        FileError: It may not.
    """
    if os.path.lexists(output) and not overwrite:
        raise FileError(
            f"{output} exists already, and a fingerprint cannot be made again to the byte",
            hint="choose another name, or replace it with --force (from Python with overwrite=True)",
        )
    if output.exists() and not output.is_file():
        raise FileError(f"{output} is not a regular file, and is not replaced", hint="give the name of a file")


def _check_avoided(
    avoided: Sequence[ModelSession], base: BaseModel, pool: Sequence[ModelSession], gradient: Gradient
) -> None:
    """Check the models that examples are kept from matching.

    Raises:
        ParameterError: One is a reference as well, takes another input, or there are no gradients to avoid it with.
    """
    if avoided and gradient == "estimate":
        raise ParameterError("models are avoided along gradients of torch copies", hint="leave out --gradient estimate")
    recorded = {session.model.digest for session in pool}
    for session in avoided:
        if session.model.digest in recorded:
            raise ParameterError(
                f"{session.model.path} is to be avoided, and a reference: its match count would say nothing of others",
                hint="give it once, as --avoid or as --reference",
            )
        if session.input.shape != base.input.shape:
            raise ParameterError(
                f"{session.model.path} takes examples of shape {session.input.shape}, the base of {base.input.shape}",
                hint="only a model that takes the base's own input can be avoided",
            )


def _warn_of_requirement(power: Requirement, prior: Prior) -> None:
    if power.obstacle:
        why = "" if prior.counts else f"{prior.source[0].upper()}{prior.source[1:]}."
        _log.warning("%s", " ".join(filter(None, (power.obstacle, why, *power.remedies))))


def _candidates_at_once(session: ModelSession, *, is_on_gpu: bool) -> int:
    """Return how many candidates share their draws of weight noise, in passes of whatever size memory holds."""
    if session.input.batch is not None:
        return _FIXED_BATCH
    return max(session.batch_size, _MIN_ON_A_GPU) if is_on_gpu else session.batch_size


def _batches(levels: Levels, size: int) -> Iterable[Levels]:
    return (levels[first : first + size] for first in range(0, len(levels), size))
