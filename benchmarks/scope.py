"""Measure how far the priors carry: other sizes of images and other numbers of classes than they were measured with.

    make benchmark-scope

Small networks (scope_networks.py) of several families are trained for a minute each on CIFAR-10's images, resized or
with other classes. Two of a task are fingerprinted, with the default recipe of a kind; all others are asked, and have
seen none of the bases' images. Their counts are compared with what ``onnxfp/evidence/priors.json`` predicts.

Networks and fingerprints are kept in .cache/scope, and counts are appended to .cache/scope/counts.jsonl as they come:
an interrupted run goes on where it stopped. Writes benchmarks/SCOPE.md; ``--table`` writes it of what is there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from scipy.stats import mannwhitneyu

import onnxfp
from benchmarks.at_hand import CACHE, HERE, count, fingerprint_of, session
from benchmarks.scope_networks import BASES, SUSPECTS, TASKS, Task, Training, fit, test_images
from models import onnx_files
from onnxfp.evidence.null import Null, estimate_null
from onnxfp.evidence.priors import Conditions, Prior, find_prior
from onnxfp.recipe.defaults import RecipeOverrides, choose_n_examples
from onnxfp.types import Kind, Spectrum

FOLDER, TABLE = CACHE / "scope", HERE / "SCOPE.md"
COUNTS = FOLDER / "counts.jsonl"
N_EXAMPLES, ALPHA, REMARKABLE, HIGHER = 100, 1e-6, 1e-3, 0.01
RECIPES: tuple[tuple[Kind, Spectrum], ...] = (
    ("ltrc", "coarse"),
    ("eot", "coarse"),
    ("c", "white"),
    ("eot", "white"),
)
SPECTRA: tuple[Spectrum, ...] = ("coarse", "white")
# Of 8 bits each.
EPSILON = 16 / 255
# Where no prior is for a task, the one of this size and number of classes stands in.
MEASURED_SIDE, MEASURED_CLASSES = 32, 10
# Networks of a task that are trained before those of the next task.
N_FIRST = 6

TEXT = """\
# How far the priors carry

Written by `make benchmark-scope` (onnxfp {onnxfp}, torch {torch}, onnxruntime {onnxruntime}).

The priors in `onnxfp/evidence/priors.json` were measured on CIFAR-10: 32 x 32 pixels, 10 classes. Here other tasks are
made of the same images, and small networks are trained on each for about a minute, from random weights of their own.
The networks named A saw the even training images and are fingerprinted; those named B and C saw the odd ones. Only the
two bases, asked each other's fingerprints, share images. The fingerprints have {n} examples of the default recipe of
their kind, epsilon 16/255. A prior knows one count of a model, its largest over kinds and bases of the same seeds; so
do the tables of p-values, over fewer kinds and bases.

## Result

*p*: the tail of the null (`estimate_null`) under the prior for these conditions, carried over to fewer classes where
there are fewer, at the largest count of any network. Lost candidates are left out, which a verdict counts as
mismatches. *p of all*: the same if all examples matched; where it is large, no count could have contradicted the prior.
*Mean*: of the networks' largest counts, and of the counts that the prior holds. *Higher*: Mann-Whitney test of whether
the networks match more often than those of the prior.
{scope}

| task | seeds | networks | largest | p | p of all | below 1e-3 | mean | prior's largest | prior's mean | higher |
|---|---|---|---|---|---|---|---|---|---|---|
{results}

{conclusion}

## Kind by kind

Mean (largest) number of matches of 100, over single pairs of a base and a network of one family or of two. The pairs of
`benchmarks/PRIOR.md` have means of 30 (c, coarse), 31 (ltrc, coarse), 39 (eot, coarse), 20 (c, white) and 27 (eot,
white), most of them of one family and longer trained.

| task | pairs | {kinds} |
|---|---{rule}|
{pairs}

## What a MATCH would take

Matches needed at alpha 1e-06 by the null alone, with a fingerprint of the default length: by the prior as it is
measured, by the networks of the task alone, and by both together.

| task | seeds | examples | by the prior | by these networks | by both |
|---|---|---|---|---|---|
{needs}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """How one network answered one fingerprint.

    Attributes:
        task: Name of the task.
        kind: Kind of the examples.
        spectrum: Spectrum of the seeds.
        base: Name of the network that was fingerprinted.
        network: Name of the network that was asked.
        accuracy: Its accuracy on test images, in [0, 1].
        n_matches: Matches.
    """

    task: str
    kind: Kind
    spectrum: Spectrum
    base: str
    network: str
    accuracy: float
    n_matches: int


def measure(task: Task, n: int) -> None:
    """Train the first ``n`` networks of a task where they are missing, and count what was not counted."""
    done = {(row.task, row.kind, row.spectrum, row.base, row.network) for row in read_rows()}
    pixels, truth = test_images(task)
    for training in (*BASES, *SUSPECTS)[:n]:
        asked = session(train(training, task))
        accuracy = count(asked, pixels, truth) / len(truth)
        for base in BASES:
            for kind, spectrum in RECIPES:
                if base == training or (task.name, kind, spectrum, base.name, training.name) in done:
                    continue
                beside = bundle_of(task, base, kind, spectrum)
                path = train(base, task)
                fingerprint = fingerprint_of(path, beside, N_EXAMPLES, RecipeOverrides(kind, spectrum))
                n_matches = count(asked, fingerprint.model_input(), fingerprint.labels)
                row = [task.name, kind, spectrum, base.name, training.name, accuracy, n_matches]
                with COUNTS.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(*row, flush=True)


def bundle_of(task: Task, base: Training, kind: Kind, spectrum: Spectrum) -> Path:
    """Return where a fingerprint is kept."""
    return FOLDER / f"{task.name}-{kind}-{spectrum}-{base.name}.fp.npz".replace(" ", "-")


def train(training: Training, task: Task) -> Path:
    """Return the ONNX file of a network, trained unless it is kept."""
    path = FOLDER / f"{task.name}-{training.name}.onnx".replace(" ", "-")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx_files.export(fit(training, task), path, shape=(3, task.side, task.side))
    return path


def read_rows() -> list[Row]:
    """Return the kept counts."""
    return [Row(*json.loads(line)) for line in COUNTS.read_text("utf-8").splitlines()] if COUNTS.exists() else []


def prior_of(task: Task, spectrum: Spectrum) -> tuple[Prior, bool]:
    """Return the prior to compare with, and whether it is meant for the task's size and number of classes.

    The prior of the measured size and classes stands in for one that is missing. With fewer classes, networks that do
    not follow the examples give the recorded label more often by luck, and its counts are raised by as much.
    """
    conditions = Conditions(spectrum, EPSILON, task.n_classes, (task.side, task.side))
    own = find_prior(conditions)
    if own.counts:
        return own, True
    n_classes = max(task.n_classes, MEASURED_CLASSES)
    known = find_prior(replace(conditions, n_classes=n_classes, sides=(MEASURED_SIDE, MEASURED_SIDE)))
    rates = [max(0.0, (matches / n - 1 / n_classes) / (1 - 1 / n_classes)) for matches, n in known.counts]
    raised = [rate + (1 - rate) / task.n_classes for rate in rates]
    counts = known.counts
    if task.n_classes < MEASURED_CLASSES:
        counts = tuple((ceil(n * rate - 1e-9), n) for rate, (_, n) in zip(raised, counts, strict=True))
    return Prior(counts, known.source), False


def worst(rows: Sequence[Row], spectrum: Spectrum) -> dict[str, int]:
    """Return each network's largest count over bases and kinds with seeds of one spectrum."""
    found: dict[str, int] = {}
    for row in rows:
        if row.spectrum == spectrum:
            found[row.network] = max(row.n_matches, found.get(row.network, 0))
    return found


def null_of(task: Task, counts: tuple[tuple[int, int], ...], n: int = N_EXAMPLES) -> Null:
    """Return the null that a prior of these counts gives."""
    return estimate_null((), (), Prior(counts, "measured"), n_classes=task.n_classes, n_candidates=n)


def write_table() -> None:
    """Write SCOPE.md of what is there."""
    rows = read_rows()
    measured = [(task, mine) for task in TASKS if (mine := [row for row in rows if row.task == task.name])]
    results, needs, exceeding, raised, foreign = [], [], [], [], []
    for task, mine in measured:
        for spectrum in SPECTRA:
            largest = worst(mine, spectrum)
            if not largest:
                continue
            prior, applies = prior_of(task, spectrum)
            null, k = null_of(task, prior.counts), max(largest.values())
            beyond = [name for name, each in largest.items() if null.p_value(each) < REMARKABLE]
            held = [N_EXAMPLES * c / n for c, n in prior.counts]
            higher = float(mannwhitneyu(list(largest.values()), held, alternative="greater").pvalue)
            results.append(
                f"| {task.title} | {spectrum} | {len(largest)} | {k} | {null.p_value(k):.2g} | "
                f"{null.p_value(N_EXAMPLES):.2g} | {len(beyond)} | {np.mean(list(largest.values())):.0f} | "
                f"{max(held):.0f} | {np.mean(held):.0f} | {higher:.2g} |"
            )
            exceeding += [f"{task.title}, {spectrum} seeds ({', '.join(beyond)})"] if beyond else []
            raised += [f"{task.title}, {spectrum} seeds"] if higher < HIGHER else []
            foreign += [] if applies or task.title in foreign else [task.title]
            own, n = tuple((each, N_EXAMPLES) for each in largest.values()), choose_n_examples(task.n_classes)
            cells = [null_of(task, pool, n).min_matches(ALPHA) for pool in (prior.counts, own, (*prior.counts, *own))]
            words = " | ".join("none is enough" if cell is None else str(cell) for cell in cells)
            needs.append(f"| {task.title} | {spectrum} | {n} | {words} |")
    text = TEXT.format(
        onnxfp=onnxfp.__version__,
        torch=torch.__version__,
        onnxruntime=onnxruntime.__version__,
        n=N_EXAMPLES,
        scope=f"No prior is for {'; '.join(foreign)}: the one of 32 x 32 pixels and 10 classes stands in."
        if foreign
        else "",
        results="\n".join(results),
        conclusion=_conclude(exceeding, raised),
        needs="\n".join(needs),
        kinds=" | ".join(f"{kind}, {spectrum}" for kind, spectrum in RECIPES),
        rule="|---" * len(RECIPES),
        pairs="\n".join(line for task, mine in measured for line in _write_pairs(task, mine)),
    )
    sections = "\n\n".join("\n".join(_write_task(task, mine)) for task, mine in measured)
    TABLE.write_text(f"{text.rstrip()}\n\n{sections}\n", encoding="utf-8")


def _conclude(exceeding: Sequence[str], raised: Sequence[str]) -> str:
    """Return what the results say of the prior, in words."""
    lines = [
        f"The prior does not hold: a network exceeds what it allows (p below {REMARKABLE}) with {where}."
        for where in exceeding
    ] or [f"No network exceeds what the prior allows: no p-value is below {REMARKABLE}."]
    lines += [f"The prior's mean is too low (*higher* below {HIGHER}) with {where}." for where in raised] or [
        f"Nowhere do the networks match plainly more often than those of the prior (*higher* below {HIGHER})."
    ]
    lines.append("A handful of networks a task shows a gross error of the prior alone, and not whether alpha is kept.")
    lines.append("The networks are less accurate than those of the prior (last rows below), and may transfer less.")
    return "\n".join(f"- {line}" for line in lines)


def _write_pairs(task: Task, rows: Sequence[Row]) -> Iterator[str]:
    family = {training.name: training.family for training in (*BASES, *SUSPECTS)}
    for alike, words in ((True, "one family"), (False, "two families")):
        cells = []
        for recipe in RECIPES:
            mine = [row for row in rows if (row.kind, row.spectrum) == recipe]
            counts = [row.n_matches for row in mine if (family[row.base] == family[row.network]) == alike]
            cells.append(f"{np.mean(counts):.0f} ({max(counts)})" if counts else "")
        yield f"| {task.title} | {words} | {' | '.join(cells)} |"


def _write_task(task: Task, rows: Sequence[Row]) -> Iterator[str]:
    accuracy = {row.network: row.accuracy for row in rows}
    names = [training.name for training in (*BASES, *SUSPECTS) if training.name in accuracy]
    found = {(row.kind, row.spectrum, row.base, row.network): str(row.n_matches) for row in rows}
    yield f"## {task.title}\n"
    yield f"Matches of {N_EXAMPLES}; a training sees {task.n_seen:,} images. *Lost*: candidates not kept.\n"
    yield f"| kind | seeds | base | lost | {' | '.join(names)} |"
    yield "|---" * (4 + len(names)) + "|"
    for kind, spectrum in RECIPES:
        for base in BASES:
            cells = [found.get((kind, spectrum, base.name, name), "") for name in names]
            if any(cells):
                manifest = onnxfp.load(bundle_of(task, base, kind, spectrum)).manifest
                lost = manifest.n_candidates - manifest.n_examples
                yield f"| {kind} | {spectrum} | {base.name} | {lost} | {' | '.join(cells)} |"
    for spectrum in SPECTRA:
        largest, (prior, _) = worst(rows, spectrum), prior_of(task, spectrum)
        null = null_of(task, prior.counts)
        tails = [f"{null.p_value(largest[name]):.2g}" if name in largest else "" for name in names]
        yield f"| *p at the worst* | {spectrum} | | | {' | '.join(tails)} |"
    yield f"| *accuracy* | | | | {' | '.join(f'{accuracy[name]:.0%}' for name in names)} |"


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description="Measure how far the priors carry.")
    parser.add_argument("--only", choices=[task.name for task in TASKS], action="append", help="a task alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only write the table of what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if not arguments.table:
        tasks = [task for task in TASKS if arguments.only is None or task.name in arguments.only]
        for n in (N_FIRST, len(BASES) + len(SUSPECTS)):
            for task in tasks:
                measure(task, n)
                write_table()
    write_table()


if __name__ == "__main__":
    main()
