"""What the owner calls: generate and check."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxfp.api.base_model import base_model, choose_grid
from onnxfp.api.linearity import find_base_linearity
from onnxfp.api.other_models import OtherFiles, OtherModels, describe_lineage, open_other_models
from onnxfp.api.references import measure_pool
from onnxfp.bundle.fingerprint import Fingerprint, sign_fingerprint
from onnxfp.bundle.manifest import SCHEMA, BaseModel, CopyParity, Manifest, ReferenceResult
from onnxfp.crafting.checkpoint import Checkpoint
from onnxfp.errors import FileError, ParameterError
from onnxfp.evidence.null import ReferenceCount
from onnxfp.evidence.priors import Conditions, Prior, find_prior
from onnxfp.evidence.requirement import Requirement, compute_requirement, find_requirement
from onnxfp.evidence.verdict import Policy
from onnxfp.execution import ISOLATED, Execution
from onnxfp.limits import MAX_EXAMPLES
from onnxfp.model.onnx_file import OnnxFile, read_onnx
from onnxfp.model_io import ModelIO
from onnxfp.recipe.defaults import RecipeOverrides, choose_n_examples, choose_recipe
from onnxfp.recipe.derivation import DerivationContext, derive_seeds
from onnxfp.runtime.session import ModelSession, open_unoptimised
from onnxfp.suspects.references import Models
from onnxfp.torch_copy.device import choose_device
from onnxfp.trust.keys import Passphrase, open_signer, signer_public_key
from onnxfp.types import InputGrid, Labels, Levels, ModelInput
from onnxfp.versions import versions

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from onnxfp.crafting.sources import CopySource, QuerySource
    from onnxfp.crafting.state import Crafted, Progress
    from onnxfp.torch_copy.device import TorchDevice
    from onnxfp.torch_copy.model_check import ModelCheck

N_PROBES = 32
"""Derived seeds on which the torch copy is compared with onnxruntime before anything is crafted."""

# Candidates at once where the graph itself fixes how many go through it.
_FIXED_BATCH = 32
# Fewer large images than this leave a GPU idle.
_MIN_ON_A_GPU = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Base:
    """The owner's model, open, and its description in the manifest."""

    file: OnnxFile
    session: ModelSession
    spec: BaseModel
    grid: InputGrid


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """Everything that fixes the examples, and the key that will sign them."""

    base: _Base
    n_examples: int
    context: DerivationContext
    signer: CryptoSigner


@dataclass(frozen=True, slots=True, eq=False)
class _Outlook:
    """Matches that a MATCH will need, as far as is known before the work."""

    prior: Prior
    requirement: Requirement
    is_linear: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Gradients:
    """Source of the gradients, and the ``(N_PROBES, *shape)`` inputs on which it was compared with onnxruntime."""

    source: CopySource | QuerySource
    probes: ModelInput


def generate(
    model: str | Path,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    n_examples: int | None = None,
    overrides: RecipeOverrides | None = None,
    io: ModelIO | None = None,
    references: Models = (),
    avoid: Models = (),
    ancestors: Models = (),
    from_scratch: bool = False,
    execution: Execution = ISOLATED,
    key: str | Path | None = None,
    passphrase: Passphrase | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Fingerprint:
    """Make the fingerprint of a model.

    Args:
        model: The owner's ONNX file.
        output: Where to write the bundle, if anywhere. An interrupted run with an output resumes when called again.
        overwrite: Whether an existing bundle may be replaced. Its commitments and time-stamps are lost with it.
        n_examples: Number of examples n; ``None`` leaves it to the number of classes.
        overrides: Kind and hyper-parameters; the others suit the model.
        io: Inputs and outputs, where the graph leaves a choice.
        references: Unassociated models (files or folders) whose match counts are recorded in the bundle.
        avoid: Other unassociated models, with the base's own input, that examples are kept from matching. Not recorded.
        ancestors: Models from which the base derives, and others that do; recorded, and avoided where they fit.
        from_scratch: Declares that the base derives from no other model.
        execution: Device of the gradients and of onnxruntime, and limits.
        key: Private key file; ``None`` takes the user's default key, made on first use.
        passphrase: Asked for the passphrase of an encrypted key.
        on_progress: Called after every gradient step.

    Raises:
        OnnxfpError: Of the class that fits; see :mod:`onnxfp.errors`.
    """
    _check_parameters(n_examples, output, ancestors, overwrite=overwrite, from_scratch=from_scratch)
    device = choose_device(execution.device)
    execution = replace(execution, device="auto" if device.type == "cuda" else "cpu")
    io, files = io or ModelIO(), OtherFiles(references, avoid, ancestors, from_scratch)
    base = _open_base(model, io, execution)
    plan = _make_plan(base, n_examples, overrides or RecipeOverrides(), key, passphrase)
    pools = open_other_models(files, base.file, base.spec, plan.context.recipe.gradient, execution, io)
    outlook = _expect_requirement(plan)
    gradients = _open_gradients(plan, pools.all_avoided, device)
    plan = _drop_idle_noise(plan, gradients)
    checkpoint = _open_checkpoint(plan, pools.all_avoided, output)
    crafted = _craft(plan, gradients, checkpoint, on_progress)
    manifest = _make_manifest(plan, pools, gradients, crafted)
    fingerprint = sign_fingerprint(crafted.levels, crafted.labels, crafted.indices, manifest, plan.signer)
    if output is not None and checkpoint:
        # The file may have come in the meantime; then nothing that was crafted may be lost.
        with checkpoint:
            fingerprint.save(output, overwrite=overwrite)
        checkpoint.remove()
    _warn_of_later_obstacle(manifest, outlook)
    return fingerprint


def check(model: str | Path, *, io: ModelIO | None = None, execution: Execution = ISOLATED) -> ModelCheck:
    """Look whether a model can be fingerprinted: contract, operators, the copy's scores and gradient, speed.

    Args:
        model: The ONNX file.
        io: Inputs and outputs, where the graph leaves a choice.
        execution: Limits; the device is the CPU in any case, whose results the copy is compared with.

    Raises:
        OnnxfpError: The file is no classifier, or the copy disagrees with onnxruntime.
    """
    choose_device("cpu")
    from onnxfp.torch_copy.model_check import check_model

    base = _open_base(model, io or ModelIO(), replace(execution, device="cpu"))
    n_levels = base.grid.n_levels
    draw = np.random.default_rng(0).integers(0, n_levels, (8, *base.session.input.shape))
    levels = draw.astype(np.uint8) if n_levels == 256 else draw.astype(np.uint16)
    return check_model(base.file, open_unoptimised(base.session), base.grid.to_model_input(levels))


def _check_parameters(
    n_examples: int | None, output: str | Path | None, ancestors: Models, *, overwrite: bool, from_scratch: bool
) -> None:
    """Check what needs no model, before the long work.

    Raises:
        ParameterError: There cannot be so many examples, or two declarations contradict each other.
        FileError: A file at the output's place may not be replaced.
    """
    if n_examples is not None and not 1 <= n_examples <= MAX_EXAMPLES:
        raise ParameterError(f"the number of examples lies between 1 and {MAX_EXAMPLES}; found {n_examples}")
    if from_scratch and ancestors:
        raise ParameterError(
            "a base that derives from no other model has no ancestor", hint="give --ancestor or --from-scratch"
        )
    if output is not None:
        _check_place(Path(output), overwrite=overwrite)


def _open_base(model: str | Path, io: ModelIO, execution: Execution) -> _Base:
    """Open the owner's model and choose the grid of its input."""
    file = read_onnx(model)
    session = ModelSession(file, io, execution=execution)
    spec = base_model(session)
    return _Base(file, session, spec, choose_grid(session, io.grid))


def _make_plan(
    base: _Base,
    n_examples: int | None,
    overrides: RecipeOverrides,
    key: str | Path | None,
    passphrase: Passphrase | None,
) -> _Plan:
    """Choose the recipe and open the key. The key comes last: it may have to be made, or need a passphrase."""
    spec = base.spec
    n_examples = n_examples or choose_n_examples(spec.n_classes)
    recipe = choose_recipe(overrides, base.grid, spec.input.shape, spec.spatial_axes, spec.n_classes)
    signer = open_signer(key, passphrase)
    context = DerivationContext(
        signer_public_key(signer),
        base.file.digest,
        spec.input.shape,
        spec.spatial_axes,
        spec.n_classes,
        base.grid,
        recipe,
    )
    return _Plan(base, n_examples, context, signer)


def _expect_requirement(plan: _Plan) -> _Outlook:
    """Compute the matches that a MATCH will need, and warn before the work where none would do."""
    base_is_linear = find_base_linearity(plan.base.session, plan.context) is True
    spec, prior = plan.base.spec, find_prior(_find_conditions(plan, is_linear=base_is_linear))
    n = plan.n_examples
    expected = compute_requirement((), prior, Policy(), n_classes=spec.n_classes, n_examples=n, n_candidates=n)
    _warn_of_requirement(expected, prior)
    return _Outlook(prior, expected, base_is_linear)


def _find_conditions(plan: _Plan, *, is_linear: bool) -> Conditions:
    """Return the conditions that the bundle will set."""
    spec, recipe, grid = plan.base.spec, plan.context.recipe, plan.base.grid
    return Conditions(
        spectrum=recipe.spectrum if spec.spatial_axes else "white",
        epsilon=recipe.epsilon_levels / (grid.n_levels - 1),
        n_classes=spec.n_classes,
        sides=spec.sides,
        is_usual=not spec.sides or grid.is_usual,
        is_linear=is_linear,
    )


def _open_gradients(plan: _Plan, avoided: list[ModelSession], device: TorchDevice) -> _Gradients:
    """Convert the base and the avoided models to torch, or estimate gradients from the base's scores."""
    from onnxfp.crafting.sources import CopySource, QuerySource

    session = plan.base.session
    probes = plan.base.grid.to_model_input(derive_seeds(plan.context, range(N_PROBES)))
    if plan.context.recipe.gradient == "copy":
        return _Gradients(CopySource(session, open_unoptimised(session), probes, device, avoided), probes)
    return _Gradients(QuerySource(session), probes)


def _drop_idle_noise(plan: _Plan, gradients: _Gradients) -> _Plan:
    """Return the plan without weight noise where the copy has no weights that it could reach."""
    from onnxfp.crafting.sources import CopySource

    recipe, source = plan.context.recipe, gradients.source
    if not (isinstance(source, CopySource) and recipe.noise and not source.has_weights):
        return plan
    _log.warning("%s keeps no weights where noise could reach them: its examples are made without", plan.base.file.path)
    return replace(plan, context=replace(plan.context, recipe=replace(recipe, noise=0.0)))


def _open_checkpoint(plan: _Plan, avoided: list[ModelSession], output: str | Path | None) -> Checkpoint | None:
    """Return the place beside the output that keeps examples as they come, if there is an output."""
    if output is None:
        return None
    return Checkpoint.beside(Path(output), plan.context, tuple(sorted(model.model.digest for model in avoided)))


def _craft(
    plan: _Plan, gradients: _Gradients, checkpoint: Checkpoint | None, on_progress: Callable[[Progress], None]
) -> Crafted:
    """Craft the examples, and keep them as they come."""
    from onnxfp.crafting.loop import craft_examples

    session, grid, source = plan.base.session, plan.base.grid, gradients.source

    def rescore(levels: Levels) -> Labels:
        return session.answer(grid.to_model_input(levels)).labels

    crafted = None
    with checkpoint or nullcontext():
        for crafted in craft_examples(
            plan.context,
            source.gradient(plan.context, gives_probabilities=session.gives_probabilities(gradients.probes)),
            rescore,
            n_examples=plan.n_examples,
            batch_size=_candidates_at_once(session, is_on_gpu=source.device.type != "cpu"),
            device=source.device,
            start=checkpoint.load() if checkpoint else None,
            on_progress=on_progress,
        ):
            if checkpoint:
                checkpoint.keep(crafted)
    assert crafted is not None  # noqa: S101 - craft_examples raises rather than yield nothing
    return crafted


def _make_manifest(plan: _Plan, pools: OtherModels, gradients: _Gradients, crafted: Crafted) -> Manifest:
    """Compare the copy with onnxruntime on the examples, ask the other models, and describe it all."""
    base, recipe = plan.base, plan.context.recipe

    def ask(models: list[ModelSession]) -> Iterator[ReferenceCount]:
        return measure_pool(models, crafted.levels, crafted.labels, base.spec, base.grid)

    batches = _batches(crafted.levels, base.session.batch_size)
    parity = gradients.source.parity(map(base.grid.to_model_input, batches))
    return Manifest(
        schema=SCHEMA,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        public_key=plan.context.public_key,
        base=base.spec,
        grid=base.grid,
        recipe=recipe,
        n_examples=plan.n_examples,
        n_candidates=crafted.n_candidates,
        references=tuple(ReferenceResult(count.digest, count.n_matches) for count in ask(pools.references)),
        copy_parity=None
        if parity is None
        else CopyParity(parity.max_abs_difference, parity.n_label_flips, parity.n_inputs),
        versions=versions(),
        lineage=describe_lineage(pools, ask(pools.ancestors)),
    )


def _warn_of_later_obstacle(manifest: Manifest, outlook: _Outlook) -> None:
    """Warn where candidates that were lost, or references that match often, cost what was enough before."""
    expected = outlook.requirement
    found = find_requirement(manifest, Policy(), is_linear=outlook.is_linear)
    if found.obstacle and (not expected.obstacle or found.remedies != expected.remedies):
        _warn_of_requirement(found, outlook.prior)


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


def _warn_of_requirement(requirement: Requirement, prior: Prior) -> None:
    if requirement.obstacle:
        why = "" if prior.counts else f"{prior.source[0].upper()}{prior.source[1:]}."
        _log.warning("%s", " ".join(filter(None, (requirement.obstacle, why, *requirement.remedies))))


def _candidates_at_once(session: ModelSession, *, is_on_gpu: bool) -> int:
    """Return how many candidates share their draws of weight noise, in passes of whatever size memory holds."""
    if session.input.batch is not None:
        return _FIXED_BATCH
    return max(session.batch_size, _MIN_ON_A_GPU) if is_on_gpu else session.batch_size


def _batches(levels: Levels, size: int) -> Iterable[Levels]:
    return (levels[first : first + size] for first in range(0, len(levels), size))
