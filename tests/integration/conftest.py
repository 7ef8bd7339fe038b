"""Running the command line as its user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def onnxfp() -> Callable[..., Outcome]:
    """Run ``onnxfp`` in a process of its own."""

    def run(*arguments: object, stdin: str = "", **environment: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "onnxfp", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "100", **environment},
            check=False,
            timeout=300,
        )
        assert "Traceback" not in done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def interruptible() -> list[str]:
    """Return the words that start the command line with Ctrl-C as at a terminal: background jobs inherit it ignored."""
    script = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('onnxfp', run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-c", script]
