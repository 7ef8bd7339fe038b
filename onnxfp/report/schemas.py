"""Reading the documents of older releases: each schema as a renaming of fields into the present one."""

from __future__ import annotations

from onnxfp.bundle.canonical_json import Json

_POLICY = {"grey": "no_match_above", "least_answered": "min_answered", "least_examples": "min_examples"}

_RENAMED: dict[str, dict[str, dict[str, str]]] = {
    "onnxfp/verification/1": {
        "": {"graded": "top_k"},
        "decision": {"least_matches": "min_matches"},
        "policy": _POLICY,
    },
    "onnxfp/evaluation/1": {
        "": {"least_matches": "min_matches"},
        "policy": _POLICY,
        "usefulness": {"most_loss": "max_loss"},
    },
}
"""New name by old name, by the object that holds the field, by schema."""


def upgrade(record: Json, schema: str) -> Json:
    """Return a document in the present schema.

    Args:
        record: The parsed document. One of an older schema of the same kind is renamed; any other is returned as it is.
        schema: The present schema, for example ``onnxfp/verification/2``.
    """
    written = record.get("schema")
    if not isinstance(written, str) or written not in _RENAMED or written.rsplit("/", 1)[0] != schema.rsplit("/", 1)[0]:
        return record
    renamed = _rename(record, _RENAMED[written][""])
    for field, names in _RENAMED[written].items():
        if field and isinstance(renamed.get(field), dict):
            renamed[field] = _rename(renamed[field], names)
    return {**renamed, "schema": schema}


def _rename(record: Json, names: dict[str, str]) -> Json:
    # A new name in an old document stays an unknown field, whatever the order of the two.
    clash = set(names.values()) & record.keys()
    return {(f"{key}?" if key in clash else names.get(key, key)): value for key, value in record.items()}
