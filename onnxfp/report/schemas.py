"""Reading the documents of older releases: each schema as a function into the present one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from onnxfp.bundle.canonical_json import Json

_POLICY = {"grey": "no_match_above", "least_answered": "min_answered", "least_examples": "min_examples"}

# Beginnings or parts of the sentences that gave a verdict's reasons in schema 1.
_REASONS = {
    "The fingerprint has ": "few examples",
    "The suspect answered ": "few answers",
    "The policy demands references": "no references",
    "No count of ": "no count suffices",
    "can be crafted": "crafted",
    "remarkable": "remarkable",
    "as proof of derivation": "significant",
    "may show": "insignificant",
}


def upgrade(record: Json, schema: str) -> Json:
    """Return a document in the present schema.

    Fields that an older schema does not have get the value that stands for "not recorded".

    Args:
        record: The parsed document. One of an older schema of the same kind is translated; any other is returned as it
            is, and so is one that is malformed.
        schema: The present schema, for example ``onnxfp/verification/2``.
    """
    written = record.get("schema")
    translate = _TRANSLATIONS.get((written, schema)) if isinstance(written, str) else None
    return record if translate is None else {**translate(record), "schema": schema}


def _upgrade_verification(record: Json) -> Json:
    found = _rename(record, {"graded": "top_k"})
    _replace(found, "policy", lambda policy: _rename(policy, _POLICY))
    _replace(found, "bundle", _upgrade_bundle)
    _replace(found, "suspect", lambda suspect: _add(suspect, question=None))
    _replace(found, "commitment", lambda commitment: _add(commitment, n_bundles=None))
    _replace(found, "decision", _upgrade_decision)
    if isinstance(found.get("not_tested"), list):
        found["not_tested"] = _list_gaps(found)
    nothing = {"is_from_scratch": False, "ancestors": [], "co_descendants": []}
    return _add(
        found, conditions=None, tables="", descent=nothing, base_check=None, probes=None, excluded_references=[]
    )


def _upgrade_bundle(bundle: Json) -> Json:
    return _add(bundle, spectrum="", shape=[], layout="OTHER", grid=None)


def _upgrade_decision(decision: Json) -> Json:
    found = _add(_rename(decision, {"least_matches": "min_matches"}), descent_p_value=None, descent="not examined")
    if isinstance(found.get("reasons"), list):
        found["reasons"] = [
            next((code for words, code in _REASONS.items() if words in str(text)), "remarkable")
            for text in found["reasons"]
        ]
    return found


def _list_gaps(record: Json) -> list[str]:
    """Return what a verdict of schema 1 leaves open, in the codes of schema 2."""
    suspect, bundle, signer = (_get(record, name) for name in ("suspect", "bundle", "signer"))
    is_match = _get(record, "decision").get("verdict") == "MATCH"
    gaps = {
        "responses": not suspect.get("providers"),
        "order in time": True,
        "common descent": True,
        "date": True,
        "change beyond recognition": True,
        "base": suspect.get("digest") != bundle.get("base_digest"),
        "linearity": is_match,
        "input range": is_match,
        "owner of the key": not signer.get("is_pinned") and signer.get("name") is None,
        "own references": not record.get("verifier_references"),
        "other commitments": record.get("commitment") is not None,
        "numbers": True,
    }
    return [gap for gap, is_open in gaps.items() if is_open]


def _upgrade_evaluation(record: Json) -> Json:
    found = _rename(record, {"least_matches": "min_matches"})
    _replace(found, "policy", lambda policy: _rename(policy, _POLICY))
    _replace(found, "bundle", _upgrade_bundle)
    _replace(found, "usefulness", lambda usefulness: _rename(usefulness, {"most_loss": "max_loss"}))
    return found


_TRANSLATIONS: Mapping[tuple[str, str], Callable[[Json], Json]] = {
    ("onnxfp/verification/1", "onnxfp/verification/2"): _upgrade_verification,
    ("onnxfp/evaluation/1", "onnxfp/evaluation/2"): _upgrade_evaluation,
}


def _get(record: Json, name: str) -> Json:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _replace(record: Json, name: str, change: Callable[[Json], Json]) -> None:
    if isinstance(record.get(name), dict):
        record[name] = change(record[name])


def _add(record: Json, **values: Any) -> Json:
    """Return a record with new fields; one that has such a field already is not of the older schema."""
    return {**record, **{(f"{key}?" if key in record else key): value for key, value in values.items()}}


def _rename(record: Json, names: Mapping[str, str]) -> Json:
    # A new name in an old document stays an unknown field, whatever the order of the two.
    clash = set(names.values()) & record.keys()
    return {(f"{key}?" if key in clash else names.get(key, key)): value for key, value in record.items()}
