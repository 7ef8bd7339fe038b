"""A child process that has children, where nothing keeps it from having them: the limit on time holds all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="fork and process groups of POSIX")

# Hold both pipes, never read and never answer; the younger one says that it lives, for a minute.
CHILD = """
import os, sys, time
if os.fork() == 0:
    LEAVE
    for _ in range(600):
        with open(sys.argv[1], "a") as file:
            print(os.getpid(), file=file)
        time.sleep(0.1)
time.sleep(100)
"""

PARENT = """
import subprocess, sys
start = subprocess.Popen
subprocess.Popen = lambda words, **options: start([words[0], "-c", sys.argv[1], sys.argv[2]], **options)
from onnxfp.runtime.isolated import IsolatedRuntime, LimitReachedError
from onnxfp.execution import Limits
try:
    IsolatedRuntime(bytes(int(sys.argv[3])), "cpu", optimise=True, n_bytes=1, limits=Limits(seconds=3))
except LimitReachedError as error:
    print(error)
"""


# Waiting for an answer; and waiting to be rid of a model that is longer than the pipe.
@pytest.mark.parametrize("size", [8, 2**22])
@pytest.mark.parametrize("leaves", [False, True])
def test_a_grandchild_keeps_nobody_waiting(tmp_path: Path, size: int, leaves: bool) -> None:
    code = CHILD.replace("LEAVE", "os.setsid()" if leaves else "pass")
    words = [sys.executable, "-c", PARENT, code, str(tmp_path / "alive"), str(size)]
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "opening it took longer than the 3 s that are allowed\n"
    assert done.stderr == ""
    assert time.monotonic() - began < 40
    said = (tmp_path / "alive").read_text()
    time.sleep(1)
    is_alive = (tmp_path / "alive").read_text() != said
    if is_alive:
        os.kill(int(said.split()[0]), signal.SIGKILL)
    assert is_alive == leaves
