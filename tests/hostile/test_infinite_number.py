"""A number that overflows to infinity, which JSON cannot spell: found by the fuzzer, in a manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onnxfp import Report
from onnxfp.bundle import canonical_json
from onnxfp.bundle.manifest import Manifest
from onnxfp.errors import BundleFormatError, CodecError, ReportFormatError

GOLDEN = Path(__file__).parents[1] / "golden" / "report-1.json"


@pytest.mark.parametrize("number", ["1e506", "-1e999"])
def test_it_is_refused_wherever_it_stands(number: str, forge: Any) -> None:
    manifest = forge.manifest().to_json().decode()
    assert "1e-06" in manifest
    with pytest.raises(BundleFormatError, match="too large"):
        Manifest.from_json(manifest.replace("1e-06", number).encode())
    with pytest.raises(CodecError, match="too large"):
        canonical_json.load_any_layout(f'{{"x": {number}}}', "the input")
    record = json.loads(GOLDEN.read_text(encoding="utf-8"))
    with pytest.raises(ReportFormatError, match="too large"):
        Report.from_json(json.dumps({**record, "match_rate": "#"}).replace('"#"', number))
