"""``onnxfp.evaluate``: makes the variants, asks them and the references, and puts the record together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import ArrayLike

from onnxfp.bundle.check import check_bundle
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.errors import ExecutionError, FileError, ParameterError
from onnxfp.evaluation.checkpoint import Checkpoint
from onnxfp.evaluation.pool import Setup, choose_jobs, run_tasks
from onnxfp.evaluation.scoring import Line, Listing, make_evaluation
from onnxfp.evaluation.task import Observation, Task
from onnxfp.evaluation.user_data import Data, read_data
from onnxfp.evidence.verdict import Policy
from onnxfp.execution import ISOLATED, Execution
from onnxfp.files import write_file
from onnxfp.model.linearity import is_linear
from onnxfp.model.onnx_file import OnnxFile, read_onnx
from onnxfp.report.evaluation import Evaluation, Role
from onnxfp.suspects.references import Models, model_files
from onnxfp.trust.trust_store import find_public_key
from onnxfp.variants.catalogue import SUITES, Suite, list_input_transforms, list_variants
from onnxfp.versions import versions

_BASE = Task("base", "base", "base")


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is.

    Attributes:
        n_done: Models that were asked, or failed.
        n_total: Models to ask.
        n_failed: Models that failed.
        name: The last one; empty at the beginning.
    """

    n_done: int
    n_total: int
    n_failed: int
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class _Subject:
    """A fingerprint that was checked, the base that it was made of, and the user's data."""

    fingerprint: Fingerprint
    bundle: Path | None
    base: OnnxFile
    data: Data | None
    is_pinned: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """Settings that the observations depend on, beside the subject."""

    suite: Suite
    data: Path | None
    fixed: Mapping[str, ArrayLike]
    execution: Execution
    jobs: int | None


def evaluate(
    base: str | Path,
    fingerprint: str | Path | Fingerprint,
    *,
    references: Models = (),
    variants: Models = (),
    suite: Suite = "quick",
    data: str | Path | None = None,
    output: str | Path | None = None,
    public_key: str | Path | None = None,
    policy: Policy | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    execution: Execution = ISOLATED,
    jobs: int | None = None,
    on_progress: Callable[[EvaluationProgress], None] = lambda _: None,
) -> Evaluation:
    """Measure how a fingerprint does on modified copies of its base and on unassociated models.

    Results are kept beside ``output`` or the bundle: an interrupted run resumes when it is called again.

    Args:
        base: The owner's ONNX file.
        fingerprint: The bundle file, or the result of :func:`onnxfp.load`.
        references: Unassociated models (files or folders); they enter the null as in :func:`onnxfp.verify`.
        variants: Modified copies of the owner's own (files or folders).
        suite: ``quick`` takes a minute or two, ``standard`` trains some epochs on labelled data, ``full`` for long.
        data: ``.npz`` file with ``images`` and, if there are any, ``labels``: for usefulness, calibration, training.
        output: Where to write the record as JSON; ``None`` returns it only.
        public_key: The owner's public key that must have signed the bundle, as :func:`onnxfp.load` takes it.
        policy: Demands of a verdict.
        fixed: Values for the base's other graph inputs.
        execution: Device of onnxruntime, and limits of each model.
        jobs: Processes at once; ``None`` takes one a core, four at most.
        on_progress: Called after each model.

    Returns:
        The record of the evaluation.

    Raises:
        OnnxfpError: Of the class that fits; a failed variant or reference is no error but a row.
    """
    _check_parameters(suite, jobs, output)
    subject = _load_subject(base, fingerprint, public_key, data)
    listing = _list_tasks(subject, suite, variants, references)
    run = _Run(suite, None if data is None else Path(data), fixed or {}, execution, jobs)
    checkpoint = _open_checkpoint(subject, run, output)
    seen = _run_tasks(subject, run, listing, checkpoint, on_progress)
    evaluation = _make_record(subject, listing, seen, suite, policy or Policy())
    if output is not None:
        write_file(Path(output), evaluation.to_json().encode() + b"\n")
    if checkpoint:
        checkpoint.remove()
    return evaluation


def _make_record(
    subject: _Subject, listing: Listing, seen: dict[str, Observation], suite: Suite, policy: Policy
) -> Evaluation:
    """Score the observations."""
    return make_evaluation(
        subject.fingerprint,
        listing,
        seen,
        suite=suite,
        data=subject.data,
        policy=policy,
        is_pinned=subject.is_pinned,
        is_linear=is_linear(subject.base.proto),
    )


def _check_parameters(suite: Suite, jobs: int | None, output: str | Path | None) -> None:
    """Check what needs no model, before the long work.

    Raises:
        ParameterError: There is no such suite, or no process.
        FileError: The output cannot be written.
    """
    if suite not in SUITES:
        raise ParameterError(f"there is no suite {suite!r}", hint=f"choose one of {', '.join(SUITES)}")
    if jobs is not None and jobs < 1:
        raise ParameterError(f"at least one process is needed; found {jobs}")
    if output is not None and not Path(output).absolute().parent.is_dir():
        raise FileError(f"the folder of {output} does not exist", hint="make it first, or choose another")
    if output is not None and Path(output).exists() and not Path(output).is_file():
        raise FileError(f"{str(output)!r} is not a regular file, and is not replaced", hint="give the name of a file")


def _load_subject(
    base: str | Path, fingerprint: str | Path | Fingerprint, public_key: str | Path | None, data: str | Path | None
) -> _Subject:
    """Check the bundle, and read the base and the data.

    Raises:
        ParameterError: The base is another model than the fingerprint's.
        OnnxfpError: One of the files is not good; of the class that fits.
    """
    bundle = None if isinstance(fingerprint, Fingerprint) else Path(fingerprint)
    fingerprint = check_bundle(fingerprint, None if public_key is None else find_public_key(public_key)).fingerprint
    manifest = fingerprint.manifest
    file = read_onnx(Path(base))
    if file.digest != manifest.base.digest:
        raise ParameterError(
            f"{base} ({file.digest}) is not the model that the fingerprint was made of ({manifest.base.digest})",
            hint="give the very file that `onnxfp generate` was given",
        )
    inputs = read_data(Path(data), manifest.base, manifest.grid) if data is not None else None
    return _Subject(fingerprint, bundle, file, inputs, public_key is not None)


def _list_tasks(subject: _Subject, suite: Suite, variants: Models, references: Models) -> Listing:
    """Return everything there is to ask beside the base."""
    spec = subject.fingerprint.manifest.base
    listing = _list(spec.digest, suite, subject.data, model_files(variants), model_files(references))
    return _list_queries(listing, suite, is_image=spec.input.layout in ("NCHW", "NHWC"))


def _open_checkpoint(subject: _Subject, run: _Run, output: str | Path | None) -> Checkpoint | None:
    """Return the place of finished observations, beside the output or the bundle; ``None`` where there is no file."""
    place = Path(output) if output is not None else subject.bundle
    if place is None:
        return None
    settings = {
        "bundle": subject.fingerprint.digest,
        "suite": run.suite,
        "data": subject.data.digest if subject.data is not None else "",
        "fixed": {name: repr(value) for name, value in run.fixed.items()},
        "provider": run.execution.device,
        "versions": dict(versions()),
    }
    return Checkpoint.beside(place, settings)


def _run_tasks(
    subject: _Subject,
    run: _Run,
    listing: Listing,
    checkpoint: Checkpoint | None,
    on_progress: Callable[[EvaluationProgress], None],
) -> dict[str, Observation]:
    """Make and ask every model, in processes that read one copy of the bundle."""
    with tempfile.TemporaryDirectory(prefix="onnxfp-") as folder:
        # The very fingerprint that was checked, whatever lies at its path by the time a process starts.
        path = Path(folder) / "bundle.npz"
        subject.fingerprint.save(path)
        setup = Setup(
            subject.base.path,
            path,
            run.suite,
            data=run.data,
            fixed=run.fixed,
            provider=run.execution.device,
            limits=run.execution.limits,
        )
        return _observe(setup, listing, run.jobs or choose_jobs(), checkpoint, on_progress)


def _list(base: str, suite: Suite, data: Data | None, own: list[OnnxFile], references: list[OnnxFile]) -> Listing:
    """Return everything there is to ask, but for the changes of queries."""
    for file in references:
        if file.digest == base:
            raise ParameterError(
                f"{file.path} is the base model itself; a reference must owe nothing to it",
                hint="remove it from the references",
            )
    if both := {file.digest for file in own} & {file.digest for file in references}:
        path = next(file.path for file in references if file.digest in both)
        raise ParameterError(f"{path} is given both as a variant and as a reference", hint="it can only be one of them")
    is_labelled = data is not None and data.labels is not None
    lines = [
        Line(Task(v.name, "variant", v.name, v.needs_labels), v.name, "variant", v.family, v.parameter)
        for v in list_variants(suite, has_labels=is_labelled and suite != "quick")
    ]
    given: tuple[tuple[Role, str, list[OnnxFile]], ...] = (
        ("own_variant", "variant of your own", own),
        ("reference", "unassociated model", references),
    )
    lines += [
        Line(Task(f"{role} {f.digest}", "file", str(f.path.absolute())), f.path.stem, role, family, None)
        for role, family, files in given
        for f in files
    ]
    return tuple(lines)


def _list_queries(listing: Listing, suite: Suite, *, is_image: bool) -> Listing:
    """Return the listing with changes of queries, for images, before the given files."""
    if not is_image:
        return listing
    made = tuple(line for line in listing if line.role == "variant")
    queries = tuple(
        Line(Task(q.name, "query", q.name), q.name, "query", q.family, q.parameter)
        for q in list_input_transforms(suite)
    )
    return (*made, *queries, *listing[len(made) :])


def _observe(
    setup: Setup,
    listing: Listing,
    jobs: int,
    checkpoint: Checkpoint | None,
    on_progress: Callable[[EvaluationProgress], None],
) -> dict[str, Observation]:
    """Return an observation for each task, and keep each as it comes."""
    tasks = [_BASE, *(line.task for line in listing)]
    seen = checkpoint.load() if checkpoint else {}
    seen = {task.key: seen[task.key] for task in tasks if task.key in seen}
    # The base first and then the references, as what is wrong with them should be known early; then what takes long, so
    # that no process is left with it at the end.
    waiting = sorted(
        (task for task in tasks if task.key not in seen),
        key=lambda task: (task is not _BASE, task.kind != "file", not task.takes_labels),
    )

    def tell(name: str) -> None:
        n_failed = sum(bool(observation.error) for observation in seen.values())
        on_progress(EvaluationProgress(len(seen), len(tasks), n_failed, name))

    tell("")
    if waiting:
        with closing(run_tasks(setup, waiting, jobs)) as results:
            for task, observation in results:
                if task is _BASE and observation.error:
                    raise ExecutionError(
                        f"the base could not be asked: {observation.error}",
                        hint="try `onnxfp check` on it, or allow it more with --max-memory and --max-seconds",
                    )
                seen[task.key] = observation
                if checkpoint:
                    checkpoint.save(seen)
                tell(Path(task.name).name)
    return seen
