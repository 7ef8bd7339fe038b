"""The disk is full: the operating system itself says so, in the middle of the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WRITER = """
import resource, signal, sys
from pathlib import Path
from onnxfp.files import write_file
from onnxfp.errors import FileError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_file(Path(sys.argv[1]), bytes(100_000))
except FileError as error:
    print(error, "|", error.hint)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX's")
def test_half_a_file_never_remains(tmp_path: Path) -> None:
    path = tmp_path / "a.fp.npz"
    path.write_bytes(b"the one before")
    done = subprocess.run([sys.executable, "-c", WRITER, path], capture_output=True, text=True, check=True, timeout=60)
    assert "cannot be written" in done.stdout
    assert "space" in done.stdout
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]
