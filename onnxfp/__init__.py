"""Is this classifier derived from mine? Fingerprints for ONNX models, with a calibrated verdict.

The whole of onnxfp in three calls::

    import onnxfp

    fingerprint = onnxfp.generate("model.onnx", output="model.fp.npz")
    report = onnxfp.verify("suspect.onnx", "model.fp.npz")
    report.verdict  # Verdict.MATCH, NO_MATCH or INCONCLUSIVE

Importing this package is cheap: torch is loaded by :func:`generate` alone, onnxruntime when a model is opened.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from onnxfp._version import __version__

if TYPE_CHECKING:
    from onnxfp.api.attestation import (
        attest as attest,
        is_attestation as is_attestation,
        load_attestation as load_attestation,
    )
    from onnxfp.api.bundles import (
        estimate_null as estimate_null,
        export as export,
        find_requirement as find_requirement,
        load as load,
    )
    from onnxfp.api.evaluation import (
        EvaluationProgress as EvaluationProgress,
        evaluate as evaluate,
    )
    from onnxfp.api.generation import (
        check as check,
        generate as generate,
    )
    from onnxfp.api.keys import (
        default_key_path as default_key_path,
        export_public_key as export_public_key,
        generate_key_pair as generate_key_pair,
        open_signer as open_signer,
        public_key_path as public_key_path,
    )
    from onnxfp.api.timestamping import (
        commit as commit,
        is_opening as is_opening,
        opening_path as opening_path,
        timestamp as timestamp,
        timestamp_path as timestamp_path,
    )
    from onnxfp.api.trust import (
        add_key as add_key,
        find_key as find_key,
        find_key_name as find_key_name,
        identify_signer as identify_signer,
        list_keys as list_keys,
        remove_key as remove_key,
    )
    from onnxfp.api.verification import (
        verify as verify,
    )
    from onnxfp.bundle.fingerprint import (
        Fingerprint as Fingerprint,
    )
    from onnxfp.bundle.manifest import (
        AncestorResult as AncestorResult,
        BaseModel as BaseModel,
        CopyParity as CopyParity,
        Lineage as Lineage,
        Manifest as Manifest,
        ReferenceResult as ReferenceResult,
    )
    from onnxfp.crafting.state import (
        Progress as Progress,
    )
    from onnxfp.errors import (
        AuthorityError as AuthorityError,
        BaseContradictionError as BaseContradictionError,
        BundleError as BundleError,
        BundleFormatError as BundleFormatError,
        BundleVersionError as BundleVersionError,
        CertificateError as CertificateError,
        CommitmentError as CommitmentError,
        CommitmentFormatError as CommitmentFormatError,
        CommitmentVersionError as CommitmentVersionError,
        ContractError as ContractError,
        ConversionError as ConversionError,
        DerivationError as DerivationError,
        DigestError as DigestError,
        ExecutionError as ExecutionError,
        FileError as FileError,
        GenerationError as GenerationError,
        KeyFileError as KeyFileError,
        KeyMismatchError as KeyMismatchError,
        MissingExtraError as MissingExtraError,
        ModelError as ModelError,
        ModelFormatError as ModelFormatError,
        OnnxfpError as OnnxfpError,
        ParameterError as ParameterError,
        ParityError as ParityError,
        ProviderError as ProviderError,
        ReportError as ReportError,
        ReportFormatError as ReportFormatError,
        ReportVersionError as ReportVersionError,
        ResponsesError as ResponsesError,
        ShapeError as ShapeError,
        SignatureError as SignatureError,
        SuspectError as SuspectError,
        TimestampError as TimestampError,
        TimestampFormatError as TimestampFormatError,
        TimestampingError as TimestampingError,
        TrustError as TrustError,
        UnsafeModelError as UnsafeModelError,
    )
    from onnxfp.evidence.lineage import (
        AncestorCount as AncestorCount,
        Descent as Descent,
    )
    from onnxfp.evidence.priors import (
        Conditions as Conditions,
    )
    from onnxfp.evidence.reference_pool import (
        ExcludedReference as ExcludedReference,
    )
    from onnxfp.report.parts import (
        BaseCheck as BaseCheck,
        BundleRecord as BundleRecord,
        FixedInput as FixedInput,
        Probes as Probes,
        Question as Question,
        Signer as Signer,
        SuspectRecord as SuspectRecord,
    )
    from onnxfp.evidence.null import (
        NullRate as NullRate,
        ReferenceCount as ReferenceCount,
    )
    from onnxfp.evidence.requirement import (
        Requirement as Requirement,
    )
    from onnxfp.evidence.statistics import (
        Estimate as Estimate,
        Interval as Interval,
    )
    from onnxfp.evidence.top_k import (
        TopKEvidence as TopKEvidence,
    )
    from onnxfp.evidence.verdict import (
        Counts as Counts,
        Decision as Decision,
        Grounds as Grounds,
        Policy as Policy,
        Verdict as Verdict,
    )
    from onnxfp.execution import (
        Execution as Execution,
        Limits as Limits,
    )
    from onnxfp.model_io import (
        ModelIO as ModelIO,
    )
    from onnxfp.recipe.defaults import (
        RecipeOverrides as RecipeOverrides,
    )
    from onnxfp.recipe.derivation import (
        DerivationContext as DerivationContext,
    )
    from onnxfp.recipe.recipe import (
        Recipe as Recipe,
    )
    from onnxfp.report.attestation import (
        Attestation as Attestation,
    )
    from onnxfp.report.checks import (
        Check as Check,
        CommitmentRecord as CommitmentRecord,
    )
    from onnxfp.report.evaluation import (
        Evaluation as Evaluation,
        Outcome as Outcome,
        Row as Row,
        Summary as Summary,
        Usefulness as Usefulness,
    )
    from onnxfp.report.verification import Report as Report
    from onnxfp.suspects.export import (
        RESPONSES as RESPONSES,
    )
    from onnxfp.torch_copy.model_check import (
        ModelCheck as ModelCheck,
        OperatorUse as OperatorUse,
    )
    from onnxfp.torch_copy.parity import (
        Parity as Parity,
    )
    from onnxfp.trust.commitment import (
        Commitment as Commitment,
    )
    from onnxfp.trust.keys import (
        Passphrase as Passphrase,
    )
    from onnxfp.trust.time_evidence import (
        TimeEvidence as TimeEvidence,
    )
    from onnxfp.trust.timestamp import (
        Timestamp as Timestamp,
    )
    from onnxfp.trust.trust_store import (
        TrustedKey as TrustedKey,
    )
    from onnxfp.types import (
        Bounds as Bounds,
        InputGrid as InputGrid,
        InputSpec as InputSpec,
        OutputSpec as OutputSpec,
    )

_NAMES: dict[str, tuple[str, ...]] = {
    "onnxfp.api.attestation": ("attest", "is_attestation", "load_attestation"),
    "onnxfp.api.bundles": ("estimate_null", "export", "find_requirement", "load"),
    "onnxfp.api.evaluation": ("EvaluationProgress", "evaluate"),
    "onnxfp.api.generation": ("check", "generate"),
    "onnxfp.api.keys": ("default_key_path", "export_public_key", "generate_key_pair", "open_signer", "public_key_path"),
    "onnxfp.api.timestamping": ("commit", "is_opening", "opening_path", "timestamp", "timestamp_path"),
    "onnxfp.api.trust": ("add_key", "find_key", "find_key_name", "identify_signer", "list_keys", "remove_key"),
    "onnxfp.api.verification": ("verify",),
    "onnxfp.bundle.fingerprint": ("Fingerprint",),
    "onnxfp.bundle.manifest": ("AncestorResult", "BaseModel", "CopyParity", "Lineage", "Manifest", "ReferenceResult"),
    "onnxfp.crafting.state": ("Progress",),
    "onnxfp.errors": (
        "AuthorityError",
        "BaseContradictionError",
        "BundleError",
        "BundleFormatError",
        "BundleVersionError",
        "CertificateError",
        "CommitmentError",
        "CommitmentFormatError",
        "CommitmentVersionError",
        "ContractError",
        "ConversionError",
        "DerivationError",
        "DigestError",
        "ExecutionError",
        "FileError",
        "GenerationError",
        "KeyFileError",
        "KeyMismatchError",
        "MissingExtraError",
        "ModelError",
        "ModelFormatError",
        "OnnxfpError",
        "ParameterError",
        "ParityError",
        "ProviderError",
        "ReportError",
        "ReportFormatError",
        "ReportVersionError",
        "ResponsesError",
        "ShapeError",
        "SignatureError",
        "SuspectError",
        "TimestampError",
        "TimestampFormatError",
        "TimestampingError",
        "TrustError",
        "UnsafeModelError",
    ),
    "onnxfp.evidence.lineage": ("AncestorCount", "Descent"),
    "onnxfp.evidence.priors": ("Conditions",),
    "onnxfp.evidence.reference_pool": ("ExcludedReference",),
    "onnxfp.report.parts": ("BaseCheck", "BundleRecord", "FixedInput", "Probes", "Question", "Signer", "SuspectRecord"),
    "onnxfp.evidence.null": ("NullRate", "ReferenceCount"),
    "onnxfp.evidence.requirement": ("Requirement",),
    "onnxfp.evidence.statistics": ("Estimate", "Interval"),
    "onnxfp.evidence.top_k": ("TopKEvidence",),
    "onnxfp.evidence.verdict": ("Counts", "Decision", "Grounds", "Policy", "Verdict"),
    "onnxfp.execution": ("Execution", "Limits"),
    "onnxfp.model_io": ("ModelIO",),
    "onnxfp.recipe.defaults": ("RecipeOverrides",),
    "onnxfp.recipe.derivation": ("DerivationContext",),
    "onnxfp.recipe.recipe": ("Recipe",),
    "onnxfp.report.attestation": ("Attestation",),
    "onnxfp.report.checks": ("Check", "CommitmentRecord"),
    "onnxfp.report.evaluation": ("Evaluation", "Outcome", "Row", "Summary", "Usefulness"),
    "onnxfp.report.verification": ("Report",),
    "onnxfp.suspects.export": ("RESPONSES",),
    "onnxfp.torch_copy.model_check": ("ModelCheck", "OperatorUse"),
    "onnxfp.torch_copy.parity": ("Parity",),
    "onnxfp.trust.commitment": ("Commitment",),
    "onnxfp.trust.keys": ("Passphrase",),
    "onnxfp.trust.time_evidence": ("TimeEvidence",),
    "onnxfp.trust.timestamp": ("Timestamp",),
    "onnxfp.trust.trust_store": ("TrustedKey",),
    "onnxfp.types": ("Bounds", "InputGrid", "InputSpec", "OutputSpec"),
}
"""The public names, by the module that defines them. The imports above repeat them, for type checkers only."""

_HOMES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOMES)]  # noqa: PLE0604 - one list of the names, from which this one comes


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import onnxfp`` and ``onnxfp --help`` stay cheap."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'onnxfp' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
