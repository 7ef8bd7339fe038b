"""Where a report comes from, in rows: files, keys, recipe, versions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxfp.errors import ParameterError
from onnxfp.report.facts import VERIFIER, Fact, describe_fingerprint, describe_signer, describe_versions
from onnxfp.report.html.template import STYLE

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint
    from onnxfp.report.parts import Signer


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a row; code is set in its own type."""

    text: str
    is_code: bool = False


Row = tuple[str, tuple[Line, ...]]


def to_rows(facts: Iterable[Fact], **names: str) -> tuple[Row, ...]:
    """Return facts as rows of a page.

    Args:
        facts: The facts.
        names: By label, the name of a file that comes before its digest.
    """
    rows = []
    for fact in facts:
        first = [Line(names[fact.label])] if fact.label in names else []
        value = fact.value if fact.is_code else ", ".join((fact.value, *fact.notes)).replace("'", "’")
        remarks = [Line(remark.replace("'", "’")) for remark in fact.remarks]
        label = f"{fact.label[0].upper()}{fact.label[1:]}"
        rows.append((label, (*first, Line(value, fact.is_code), *remarks)))
    return tuple(rows)


def fingerprint_rows(fingerprint: Fingerprint, bundle: str, signer: Signer) -> tuple[Row, ...]:
    """Return the rows about a fingerprint, its signer and its base.

    Args:
        fingerprint: The fingerprint.
        bundle: Name of its file.
        signer: What is known of its key.
    """
    first, *others = describe_fingerprint(fingerprint, STYLE)
    made_with = describe_versions("made with", fingerprint.manifest.versions)
    return to_rows((first, describe_signer(signer, VERIFIER), *others, made_with), fingerprint=bundle)


def check_same(told: str, held: str) -> None:
    """Make sure that a record is about the fingerprint that its page would show.

    Args:
        told: Digest of the bundle in the record.
        held: Digest of the bundle at hand.

    Raises:
        ParameterError: They differ.
    """
    if told != held:
        raise ParameterError(f"the record is about the fingerprint {told}, and not about {held}")
