"""What was checked about a fingerprint before the suspect was asked: what was found, and which deceit that rules out.

Each check is executed in every verification (:func:`onnxfp.bundle.check.check_bundle`), and one that failed would
have ended it in an error; here they are put into words for readers who have never seen the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnxfp.bundle.check import CheckedBundle
from onnxfp.bundle.records import find_broken_claim, is_digest, is_time
from onnxfp.bundle.writer import MEMBERS
from onnxfp.trust.timestamp import Timestamp
from onnxfp.types import InputGrid

ALWAYS = ("file", "signature", "digests", "key", "labels", "seeds", "grid", "selection")
"""Names of the checks of every verification, in the order in which they are made."""

COMMITMENT, TIMESTAMP = "commitment", "timestamp"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked before the suspect was asked.

    Attributes:
        name: What was checked.
        n_checked: Number of things compared for it; 0 where nothing was, and ``found`` says why.
        found: What was found, in words.
        rules_out: The deceit that it rules out.
    """

    name: str
    n_checked: int
    found: str
    rules_out: str


@dataclass(frozen=True, slots=True)
class CommitmentRecord:
    """A commitment that was opened with the bundle.

    Attributes:
        value: ``sha256:<hex>``, as it was published.
        is_demanded: Whether the verifier knew the published value and demanded it. Otherwise the opening may be as
            young as the report, and the reader must compare the value with what was published.
        n_bundles: Number of bundles that the owner committed to, this one included, as the opening states it; ``None``
            where it states nothing.
    """

    value: str
    is_demanded: bool
    n_bundles: int | None = None


def describe_checks(
    checked: CheckedBundle, *, is_pinned: bool, commitment: CommitmentRecord | None, timestamp: Timestamp | None
) -> tuple[Check, ...]:
    """Return the checks that a bundle passed.

    Args:
        checked: The bundle, and what was found.
        is_pinned: Whether the verifier demanded the key that signed.
        commitment: The commitment that was opened, if any.
        timestamp: The time-stamp that was checked, if any.
    """
    fingerprint, derivation = checked.fingerprint, checked.derivation
    manifest = fingerprint.manifest
    grid, n = manifest.grid, fingerprint.n_examples
    allowed, key = manifest.recipe.epsilon_levels, manifest.public_key
    step = (grid.bounds.upper - grid.bounds.lower) / (grid.n_levels - 1)
    n_members = len(MEMBERS) - 1
    checks = [
        Check(
            "file",
            checked.n_bytes,
            f"{checked.n_bytes} bytes: {len(MEMBERS)} members, uncompressed, and around them no byte but those that "
            "this format demands.",
            "A damaged, bloated or ambiguous file that means one thing to one reader and another to the next.",
        ),
        Check(
            "signature",
            1,
            f"The Ed25519 signature over the list of members is good under the key {key}.",
            "A bundle altered after it was signed, or signed by somebody who does not hold that key.",
        ),
        Check(
            "digests",
            n_members,
            f"The SHA-256 digests of {n_members} members are those that were signed.",
            "Examples, labels, indices or origin exchanged under a signature that is good.",
        ),
        _describe_key(is_pinned),
        Check(
            "labels",
            derivation.n_examples,
            f"{derivation.n_examples} labels were derived again from key, base model and recipe; all are the recorded "
            "ones.",
            "Labels chosen so that independent models agree with them.",
        ),
        Check(
            "seeds",
            derivation.n_examples,
            f"{derivation.n_examples} random seeds were derived again. No value of an example lies farther than "
            f"{derivation.farthest} of {grid.n_levels} levels from its seed; the recipe allows {allowed} "
            f"(epsilon {allowed * step:.4g}).",
            "Inputs chosen at will, such as natural images. It does not rule out that examples were optimised within "
            "this distance to match models of others: references measure that.",
        ),
        _describe_grid(grid, n),
        Check(
            "selection",
            n,
            f"{n} indices increase strictly, within the {manifest.n_candidates} candidates that were tried; all "
            f"{manifest.n_candidates} count in the p-value, those not kept as mismatches.",
            "One lucky example repeated, or the lucky ones of many candidates kept as if there had been no others.",
        ),
    ]
    if commitment is not None:
        checks.append(_describe_commitment(commitment, timestamp))
    if timestamp is not None:
        checks.append(_describe_timestamp(timestamp, manifest.created))
    return tuple(checks)


def find_contradiction(
    checks: Sequence[Check],
    commitment: CommitmentRecord | None,
    timestamp: Timestamp | None,
    *,
    bundle: str,
    n_asked: int,
    is_pinned: bool,
) -> str:
    """Return what the checks of a report that was read contradict, or nothing.

    Args:
        checks: The report's checks.
        commitment: Its commitment.
        timestamp: Its time-stamp.
        bundle: ``sha256:<hex>`` of its bundle.
        n_asked: Number of examples.
        is_pinned: Whether the key was demanded.
    """
    expected = (*ALWAYS, *([COMMITMENT] * (commitment is not None)), *([TIMESTAMP] * (timestamp is not None)))
    stamped = None if timestamp is None else timestamp.digest
    # Without a commitment there is nothing that a stamp of one could be about.
    about = bundle if timestamp is None or timestamp.subject == "bundle" else commitment.value if commitment else ""
    counted = {"key": int(is_pinned), "labels": n_asked, "seeds": n_asked, "grid": n_asked, "selection": n_asked}
    claims = {
        "checks are not those of a verification": tuple(check.name for check in checks) == expected,
        "commitment.value is not a SHA-256 digest": commitment is None or is_digest(commitment.value),
        "timestamp is malformed": timestamp is None
        or (is_digest(timestamp.certificate) and is_time(timestamp.existed_before)),
        "timestamp is about something else than bundle or commitment": stamped is None or stamped == about,
        "a check contradicts counts or signer": all(
            check.n_checked == counted[check.name] if check.name in counted else check.n_checked >= 1
            for check in checks
        ),
    }
    return find_broken_claim(claims)


def _describe_key(is_pinned: bool) -> Check:
    deceit = "A bundle that somebody else made and signed in the owner's place."
    if is_pinned:
        return Check("key", 1, "The key is the one that the verifier demanded.", deceit)
    found = "NOT CHECKED: the verifier demanded no key (--public-key)."
    return Check("key", 0, found, f"Nothing. It would rule out: {deceit}")


def _describe_grid(grid: InputGrid, n_examples: int) -> Check:
    bits = 8 if grid.n_levels == 256 else 16
    lower, upper = grid.bounds.lower, grid.bounds.upper
    return Check(
        "grid",
        n_examples,
        f"{n_examples} examples are stored as whole {bits}-bit levels, 0 for {lower:g} and {grid.n_levels - 1} for "
        f"{upper:g}. Nothing else can be written in this form, so bounds and grid hold by it and need no comparison.",
        "Inputs outside the valid range, or finer than a file of such values can hold.",
    )


def _describe_commitment(commitment: CommitmentRecord, timestamp: Timestamp | None) -> Check:
    opens = f"The opening commits to this very bundle, and its value {commitment.value}"
    deceit = "A bundle made after the day on which the value was published."
    if commitment.is_demanded:
        found, rules_out = f"{opens} is the published one that the verifier demanded.", deceit
    elif timestamp is not None and timestamp.subject == "commitment":
        found, rules_out = f"{opens} is the one that was time-stamped.", "A bundle made after the time-stamp."
    else:
        found = f"{opens} was NOT COMPARED with a published one."
        rules_out = f"Nothing until it is, for an opening can be made at any time. It would rule out: {deceit}"
    return Check(COMMITMENT, 1 + commitment.is_demanded, found, rules_out)


def _describe_timestamp(timestamp: Timestamp, created: str) -> Check:
    doubt = (
        f" The signer claims to have made it at {created}, which is later: a wrong clock, or a false claim."
        if created > timestamp.existed_before
        else ""
    )
    return Check(
        TIMESTAMP,
        1,
        f"The {timestamp.subject} existed before {timestamp.existed_before}, says {timestamp.authority} (certificate "
        f"{timestamp.certificate}, policy {timestamp.policy}, serial {timestamp.serial}).{doubt}",
        "A fingerprint made later than that, for instance after the suspect became known to the accuser.",
    )
