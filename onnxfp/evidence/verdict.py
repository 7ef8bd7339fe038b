"""Policy and verdict: what is demanded before a suspect is called derived from the base."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from onnxfp.errors import ParameterError
from onnxfp.evidence.null import Null


class Verdict(Enum):
    """The answer to: is the suspect derived from the base?"""

    MATCH = "MATCH"
    NO_MATCH = "NO_MATCH"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a verdict demands.

    Attributes:
        alpha: Largest p-value that is a MATCH: the rate at which unassociated models would be accused.
        no_match_above: Largest p-value that is not yet a NO_MATCH; between the two the verdict is INCONCLUSIVE.
        min_examples: Fewest answered examples that any verdict is built on.
        min_answered: Smallest share of the examples that the suspect must have answered.
        needs_references: Whether a verdict without the verifier's own references is INCONCLUSIVE.
        confidence: Coverage of the interval on the match rate.

    Raises:
        ParameterError: A field lies outside its range.
    """

    alpha: float = 1e-6
    no_match_above: float = 1e-2
    min_examples: int = 20
    min_answered: float = 0.9
    needs_references: bool = False
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha <= self.no_match_above < 1.0:
            raise ParameterError(
                f"0 < alpha <= no_match_above < 1 must hold; found alpha {self.alpha}, no_match_above "
                f"{self.no_match_above}"
            )
        if self.min_examples < 1 or not 0.0 < self.min_answered <= 1.0 or not 0.0 < self.confidence < 1.0:
            raise ParameterError(
                "min_examples must be at least 1, min_answered in (0, 1] and confidence in (0, 1); found "
                f"{self.min_examples}, {self.min_answered}, {self.confidence}"
            )


@dataclass(frozen=True, slots=True)
class Counts:
    """What was observed.

    Attributes:
        n_matches: Examples to which the suspect gave the recorded label.
        n_answered: Examples that it answered at all.
        n_asked: Examples that it was asked.
        n_candidates: Candidates from which the owner selected those examples.
    """

    n_matches: int
    n_answered: int
    n_asked: int
    n_candidates: int

    def __post_init__(self) -> None:
        if not (0 <= self.n_matches <= self.n_answered <= self.n_asked <= self.n_candidates and self.n_asked > 0):
            raise ParameterError(f"matches <= answered <= asked <= candidates must hold; found {self}")


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its grounds.

    Attributes:
        verdict: The answer.
        p_value: Probability that an unassociated model matches at least as often, under the null.
        min_matches: Fewest matches that would have been a MATCH; ``None`` if no count would.
        reasons: The grounds, one sentence each.
    """

    verdict: Verdict
    p_value: float
    min_matches: int | None
    reasons: tuple[str, ...]


def decide(counts: Counts, null: Null, n_verifier_references: int, policy: Policy) -> Decision:
    """Return the verdict on one suspect.

    The p-value is the null's tail at the number of matches, over *all* candidates: one that the owner did not keep
    counts as a mismatch, so that keeping the best cannot manufacture significance. A MATCH takes more matches still
    where a false accuser could reach as many.

    Args:
        counts: What was observed.
        null: What an unassociated model may match, over all candidates.
        n_verifier_references: Number of references that the verifier brought.
        policy: What is demanded.

    Raises:
        ParameterError: The null is one for another number of candidates.
    """
    if len(null.tail) != counts.n_candidates + 1:
        raise ParameterError(f"the null is for {len(null.tail) - 1} candidates; there are {counts.n_candidates}")
    p_value = null.p_value(counts.n_matches)
    least = null.min_matches(policy.alpha)
    least = least if least is not None and least <= counts.n_asked else None
    obstacles = []
    if counts.n_asked < policy.min_examples:
        obstacles.append(f"The fingerprint has {counts.n_asked} examples; the policy demands {policy.min_examples}.")
    if counts.n_answered < policy.min_answered * counts.n_asked:
        obstacles.append(
            f"The suspect answered {counts.n_answered} of {counts.n_asked} examples; the policy demands "
            f"{policy.min_answered:.0%}."
        )
    if policy.needs_references and not n_verifier_references:
        obstacles.append("The policy demands references of the verifier's own, and none were given.")
    if least is None:
        obstacles.append(
            f"No count of {counts.n_asked} examples reaches p <= {policy.alpha:g}: unassociated models match too "
            "often, or can be made to, or too few of them were measured."
        )
    if obstacles:
        return Decision(Verdict.INCONCLUSIVE, p_value, least, tuple(obstacles))
    if p_value <= policy.alpha and least is not None and counts.n_matches < least:
        reason = (
            f"An unassociated model would match this often with a probability of {p_value:.2g}, but examples can be "
            f"crafted so that one does: {least} matches are more than that."
        )
        return Decision(Verdict.INCONCLUSIVE, p_value, least, (reason,))
    if p_value <= policy.alpha:
        reason = (
            f"An unassociated model would match this often with a probability of {p_value:.2g}; the policy "
            f"takes {policy.alpha:g} or less as proof of derivation."
        )
        return Decision(Verdict.MATCH, p_value, least, (reason,))
    if p_value <= policy.no_match_above:
        reason = (
            f"An unassociated model would match this often with a probability of {p_value:.2g}: remarkable, but "
            f"the policy demands {policy.alpha:g} or less, which takes {least} matches."
        )
        return Decision(Verdict.INCONCLUSIVE, p_value, least, (reason,))
    reason = (
        f"{counts.n_matches} of {counts.n_asked} examples match. Unassociated models match that often. "
        f"A MATCH needs {least}."
    )
    return Decision(Verdict.NO_MATCH, p_value, least, (reason,))
