"""Every error that onnxfp raises on purpose, as one tree.

The library raises these and never prints or exits. The command line turns them into
``error: what (where)`` and ``hint: next step`` and leaves with the class's ``exit_code``.
A negative verdict is a value (:class:`onnxfp.evidence.verdict.Verdict`), never an error.

Exit codes: 2 usage, 3 model, 4 bundle, report or time-stamp, 5 trust, 6 execution or a missing extra, 7 files, keys and
network. 1 is left to crashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike


class OnnxfpError(Exception):
    """Base of every deliberate error.

    Args:
        message: What was expected, what was found, and where (file, node or field).
        hint: The next step for the person who reads it; empty when there is none.
    """

    exit_code = 6

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ParameterError(OnnxfpError):
    """An argument lies outside its documented range, or two arguments contradict each other."""

    exit_code = 2


class ShapeError(ParameterError):
    """Arrays that belong together differ in length, or an array has no element."""


class ModelError(OnnxfpError):
    """An ONNX file cannot be used as a model."""

    exit_code = 3


class ModelFormatError(ModelError):
    """The file is not a well-formed ONNX model, or is larger than the limits allow."""


class UnsafeModelError(ModelError):
    """The model refers to files outside its own folder, or to custom operator libraries."""


class ContractError(ModelError):
    """The model's inputs or outputs are not those of the classifier that is asked for."""


class ConversionError(ModelError):
    """Some nodes of the graph have no differentiable torch counterpart."""


class ParityError(ModelError):
    """The torch copy and onnxruntime disagree about the same model."""


class BundleError(OnnxfpError):
    """A bundle cannot be read."""

    exit_code = 4


class BundleFormatError(BundleError):
    """The file is not a well-formed bundle: size, zip listing, manifest, shapes or dtypes."""


class BundleVersionError(BundleError):
    """The bundle was written in a schema version that this release does not know."""


class ReportError(OnnxfpError):
    """A report, or the attestation of one, cannot be read."""

    exit_code = 4


class ReportFormatError(ReportError):
    """The text is not a well-formed report or attestation, or its numbers contradict each other."""


class ReportVersionError(ReportError):
    """The report was written in a schema version that this release does not know."""


class ResponsesError(OnnxfpError):
    """A file of recorded responses, or of the classes' names, is not what it must be."""

    exit_code = 4


class TimestampingError(OnnxfpError):
    """What shall show when a fingerprint existed cannot be read."""

    exit_code = 4


class CommitmentFormatError(TimestampingError):
    """The file is not the opening of a commitment in its one canonical form."""


class CommitmentVersionError(TimestampingError):
    """The opening was written in a schema version that this release does not know."""


class TimestampFormatError(TimestampingError):
    """The bytes are no granted RFC 3161 time-stamp."""


class TrustError(OnnxfpError):
    """A bundle or an attestation is well formed, but must not be believed."""

    exit_code = 5


class SignatureError(TrustError):
    """The signature is missing, or does not verify under the key that the bundle names."""


class KeyMismatchError(TrustError):
    """The bundle is signed, but not by the key that was pinned."""


class DigestError(TrustError):
    """A member's bytes are not those that were signed."""


class DerivationError(TrustError):
    """Seeds, labels, epsilon ball or indices are not those that the signed context derives."""


class BaseContradictionError(TrustError):
    """The model that a bundle names as its base does not give the recorded labels."""


class CommitmentError(TrustError):
    """The opening is good, but not of a commitment to this bundle, or not of the one that was published."""


class TimestampError(TrustError):
    """The time-stamp is about something else, or not by the authority that is trusted."""


class ExecutionError(OnnxfpError):
    """A model could be opened, but not be run to the end."""

    exit_code = 6


class SuspectError(ExecutionError):
    """The suspect failed while it answered."""


class ProviderError(ExecutionError):
    """The execution provider that was demanded is not available."""


class GenerationError(ExecutionError):
    """Too few examples reached their label on the base model."""


class MissingExtraError(OnnxfpError):
    """An optional dependency that the call needs is not installed; the hint names the extra that brings it."""

    exit_code = 6


class FileError(OnnxfpError):
    """A file or folder cannot be read or written."""

    exit_code = 7


class KeyFileError(FileError):
    """A key file is missing, malformed, or its passphrase is wrong."""


class CertificateError(FileError):
    """A certificate file is missing, malformed, or holds no root to trust."""


class AuthorityError(OnnxfpError):
    """A time-stamp authority cannot be reached, refuses, or does not answer as RFC 3161 demands."""

    exit_code = 7


class CodecError(ValueError):
    """A text or an array is not in the form that a codec reads.

    Internal: the codec does not know whose document it reads. Its owner does, and raises an error of its own with
    :func:`translate_codec`.
    """


@contextmanager
def translate_codec(error: type[OnnxfpError], hint: str) -> Iterator[None]:
    """Turn the codec's error into the one of the document that is read.

    Args:
        error: Class of the error that the document's reader raises.
        hint: The next step for the person who holds the document.

    Raises:
        OnnxfpError: Of the class ``error``, where the block raises a :class:`CodecError`.
    """
    try:
        yield
    except CodecError as problem:
        raise error(str(problem), hint=hint) from problem


@contextmanager
def name_file(path: str | PathLike[str], *errors: type[OnnxfpError]) -> Iterator[None]:
    """Put the name of a file before the messages of functions that know only its content.

    Args:
        path: The file.
        errors: Classes of the errors that are about its content.

    Raises:
        OnnxfpError: Of the same class and with the same hint, where the block raises one of ``errors``.
    """
    try:
        yield
    except errors as problem:
        raise type(problem)(f"{path}: {problem}", hint=problem.hint) from problem
