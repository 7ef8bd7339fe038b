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

__all__ = [
    "Attestation",
    "Bounds",
    "Commitment",
    "Evaluation",
    "Fingerprint",
    "OnnxfpError",
    "Policy",
    "Report",
    "Verdict",
    "__version__",
    "attest",
    "check",
    "commit",
    "evaluate",
    "export",
    "generate",
    "load",
    "load_attestation",
    "timestamp",
    "verify",
]

if TYPE_CHECKING:
    from onnxfp.api.evaluation import evaluate
    from onnxfp.api.generation import check, generate
    from onnxfp.api.timestamping import commit, timestamp
    from onnxfp.api.verification import attest, export, load, load_attestation, verify
    from onnxfp.bundle.fingerprint import Fingerprint
    from onnxfp.errors import OnnxfpError
    from onnxfp.evidence.verdict import Policy, Verdict
    from onnxfp.report.attestation import Attestation
    from onnxfp.report.evaluation import Evaluation
    from onnxfp.report.verification import Report
    from onnxfp.trust.commitment import Commitment
    from onnxfp.types import Bounds

_HOMES = {
    "Attestation": "onnxfp.report.attestation",
    "Bounds": "onnxfp.types",
    "Evaluation": "onnxfp.report.evaluation",
    "Commitment": "onnxfp.trust.commitment",
    "Fingerprint": "onnxfp.bundle.fingerprint",
    "OnnxfpError": "onnxfp.errors",
    "Policy": "onnxfp.evidence.verdict",
    "Report": "onnxfp.report.verification",
    "Verdict": "onnxfp.evidence.verdict",
    "attest": "onnxfp.api.verification",
    "check": "onnxfp.api.generation",
    "evaluate": "onnxfp.api.evaluation",
    "commit": "onnxfp.api.timestamping",
    "export": "onnxfp.api.verification",
    "generate": "onnxfp.api.generation",
    "load": "onnxfp.api.verification",
    "load_attestation": "onnxfp.api.verification",
    "timestamp": "onnxfp.api.timestamping",
    "verify": "onnxfp.api.verification",
}


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
