"""Whether a pilot run would choose better than the defaults: computed from the answers that strength.py has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.strength_bed import DEFAULT_OF_FEW, DEFAULT_OF_MANY, Answers, Bed, is_useful

# Pilot runs that were tried: examples of each arm, and references given. Drawn so often.
PILOTS = ((10, 0), (10, 1), (10, 3), (25, 1), (25, 3), (50, 3))
N_PILOTS = 400
# Thefts that take labelled data to make.
TRAINED = ("ftll", "ftal", "rtll", "rtal", "prune-finetune", "adversarial", "distil", "extract")
HEADING = "## Would a pilot run choose better?"
TEXT = """\
Suppose `generate` first made a few examples of every arm above that neither avoids nor survives models, measured them
on the thefts that need no training and on the references it was given, and went on with the arm of the largest
uniqueness score (mean over the thefts less the worst reference). The table holds the uniqueness score of what it would
have chosen, on all thefts and on the unassociated models that it was not given: the mean of 400 pilots, drawn from the
counts of all arms, of one run. *Default* is the arm that is taken without a pilot, *best* the one that is best on this
base. Ten examples of each of 14 arms cost 70 % of a fingerprint of 200.
"""


def pilot(beds: Sequence[Bed]) -> Iterator[str]:
    """Yield the lines that say what a pilot run would have chosen."""
    yield HEADING
    yield ""
    yield TEXT
    columns = [f"{n} examples, {given} reference{'s' if given != 1 else ''}" for n, given in PILOTS]
    yield "| base | default | best | " + " | ".join(columns) + " |"
    yield "|---" * (3 + len(columns)) + "|"
    for bed in beds:
        yield _pilot_row(bed, np.random.default_rng(0))
    yield ""


def _pilot_row(bed: Bed, rng: np.random.Generator) -> str:
    answers = Answers(bed)
    arms = [arm.name for arm in bed.arms if not (arm.avoided or arm.survived)]
    thefts = [name for name in answers.useful if name not in bed.references and is_useful(bed, answers, name)]
    untrained = np.array([not name.startswith(TRAINED) for name in thefts])
    robust = np.array([[answers.rate(name, arm) for name in thefts] for arm in arms])
    transfer = np.array([[answers.rate(name, arm) for name in bed.references] for arm in arms])
    scores = robust.mean(axis=1) - transfer.mean(axis=1)
    default = DEFAULT_OF_FEW if bed.truth is not None else DEFAULT_OF_MANY
    cells = [f"{scores[arms.index(default)]:.2f}", f"{scores.max():.2f} ({arms[int(scores.argmax())]})"]
    for n, n_given in PILOTS:
        found = []
        for _ in range(N_PILOTS):
            order = rng.permutation(len(bed.references))
            given, held_out = order[:n_given], order[n_given:] if n_given < len(order) else order
            seen = (rng.binomial(n, robust[:, untrained]) / n).mean(axis=1)
            worst = (rng.binomial(n, transfer[:, given]) / n).max(axis=1, initial=0.0)
            chosen = int((seen - worst).argmax())
            found.append(robust[chosen].mean() - transfer[chosen, held_out].mean())
        cells.append(f"{np.mean(found):.2f}")
    return f"| {bed.name} | " + " | ".join(cells) + " |"
