"""JSON that is small in a file and large in memory: manifests, reports, attestations."""

from __future__ import annotations

from typing import Any

import pytest
from securesystemslib.dsse import Envelope

from onnxfp.bundle import canonical_json
from onnxfp.bundle.manifest import Manifest
from onnxfp.bundle.reader import MAX_TEXT_BYTES
from onnxfp.bundle.signing import PAYLOAD_TYPE
from onnxfp.errors import OnnxfpError
from onnxfp.report.attestation import ATTESTATION, MAX_FILE_BYTES, parse_attestation
from tests.fuzz.limits import limited_memory, limited_time

UNITS = ["{}", "[]", '""', "0", "1e5", '{"":0}', "[[[[]]]]", "null"]


def filled(unit: str, n_bytes: int) -> str:
    return "[" + ",".join([unit] * (n_bytes // (len(unit) + 1))) + "]"


@pytest.mark.parametrize("unit", UNITS)
def test_the_largest_manifest_is_cheap(unit: str) -> None:
    text = f'{{"schema":{filled(unit, MAX_TEXT_BYTES - 100)}}}'.encode()
    with limited_time(), limited_memory(), pytest.raises(OnnxfpError):
        Manifest.from_json(text)


@pytest.mark.parametrize("unit", UNITS)
def test_the_largest_attestation_is_cheap(unit: str, forge: Any) -> None:
    report = f'{{"x":{filled(unit, MAX_FILE_BYTES * 3 // 4 - 2000)}}}'
    text = (
        f'{{"_type":"https://in-toto.io/Statement/v1","predicate":{{"public_key":"{forge.public_key}","report":{report}'
        f'}},"predicateType":"{ATTESTATION.predicate_type}","subject":[]}}'
    )
    envelope = Envelope(text.encode(), PAYLOAD_TYPE, {})
    envelope.sign(forge.signer)
    content = canonical_json.dump(envelope.to_dict())
    assert MAX_FILE_BYTES * 0.95 < len(content) <= MAX_FILE_BYTES
    with limited_time(), limited_memory(), pytest.raises(OnnxfpError):
        parse_attestation(content)
