"""One target under the coverage-guided fuzzer: ``python -m tests.fuzz.guided NAME CORPUS [libFuzzer's options]``.

Never returns: libFuzzer ends the process, with code 0 when its time is over and another one after a finding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["onnxfp", "json"]):
    from tests.fuzz.limits import feed, limited_memory
    from tests.fuzz.targets import TARGETS


def guarded(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Return what libFuzzer calls: a target within its limits."""

    def call(content: bytes) -> None:
        with limited_memory():
            feed(run, content)

    return call


if __name__ == "__main__":
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], guarded(TARGETS[name].run))
    atheris.Fuzz()
