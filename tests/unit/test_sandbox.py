"""What the child process has given up: tried out in one that has."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these are Linux's own means")

ATTEMPTS = """if True:
    import ctypes, os, socket, sys, threading
    from pathlib import Path
    from onnxfp.base import sandbox
    sandbox.tie_to_parent()
    print("holds", *HOW)
    path = Path(sys.argv[1])
    server = int(sys.argv[2])
    attempts = {
        "read": path.read_text,
        "connect": lambda: socket.create_connection(("127.0.0.1", server), timeout=5),
        "send": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", server)),
        "fork": lambda: os.fork() or os._exit(0),
        "run": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "kill": lambda: os.kill(os.getppid(), 0),
        "change": lambda: path.write_text("changed"),
        "empty": lambda: os.truncate(path, 0),
        "remove": path.unlink,
        "move": lambda: path.rename(path.with_name("moved")),
        "make": lambda: path.with_name("made").mkdir(),
        "open to others": lambda: path.chmod(0o777),
        "thread": lambda: threading.Thread(target=str).start(),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
            print("did", name)
        except OSError as error:
            print("refused", name)
"""


def attempt(how: str, tmp_path: Path) -> set[str]:
    """Return what a process did, and was refused, that has confined itself so."""
    import socket

    path = tmp_path / "precious"
    path.write_text("precious")
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = subprocess.run(
            [sys.executable, "-c", ATTEMPTS.replace("HOW", how), str(path), str(server.getsockname()[1])],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    return set(done.stdout.splitlines())


def test_everything_that_a_classifier_never_needs_is_refused(tmp_path: Path) -> None:
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("there is no filter for this machine")
    said = attempt("sandbox.confine()", tmp_path)
    refused = {"connect", "send", "fork", "run", "kill", "open to others"}
    assert {"holds network", "did read", "did thread"} | {f"refused {name}" for name in refused} <= said
    if has_landlock():
        assert {f"refused {name}" for name in ("change", "empty", "remove", "move", "make")} <= said
        assert (tmp_path / "precious").read_text() == "precious"


def test_without_a_filter_a_namespace_takes_the_network_and_leaves_the_files(tmp_path: Path) -> None:
    said = attempt("['network'] if sandbox._leave_network(sandbox.ctypes.CDLL(None)) else []", tmp_path)
    if "holds" in said:
        pytest.skip("this machine lets nobody make a namespace")
    assert {"holds network", "refused connect", "refused send", "did read"} <= said


def test_a_machine_without_a_filter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxfp.base import sandbox

    monkeypatch.setattr(platform, "machine", lambda: "vax")
    assert not sandbox._filter_calls(ctypes.CDLL(None))
    monkeypatch.setattr(sys, "platform", "win32")
    assert sandbox.confine() == []


def has_landlock() -> bool:
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 3 and os.name == "posix"
